"""The main path: photo -> L -> distribution -> ab -> photo.

`Colorizer.predict` runs the network once and returns a `Prediction`. It holds the distribution over
the 313 colors for every pixel, which answers everything else: render, candidates, palette,
uncertainty.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO, Unpack, cast, overload

import numpy as np
from numpy.typing import NDArray

from photochrom import render
from photochrom.anchors import Anchors, blend_hints
from photochrom.arrays import Float32
from photochrom.color.bins import TEMPERATURE
from photochrom.color.upsample import Upsampler, guide_size
from photochrom.distribution import Distribution, neutral
from photochrom.errors import ConfigError
from photochrom.frame import Frame, network_input, seen_lightness
from photochrom.given import opened
from photochrom.hints import HintLike, check_hints
from photochrom.margin import Margin, find_margin, look_size
from photochrom.models import Model, ModelInfo, load_model
from photochrom.photo.open import open_photo
from photochrom.photo.photo import Photo
from photochrom.photo.write import Output, check_pages, write_pages
from photochrom.prediction import FileSettings, Prediction, Settings, divided

if TYPE_CHECKING:
    import PIL.Image
    import torch

    from photochrom.video.film import ColoredFrame
    from photochrom.video.film import Settings as FilmSettings

__all__ = ["Colorizer"]

_OF_FILES = ("candidate", "page")


class Colorizer:
    """Colors gray photographs with one model, which is loaded once.

    Parameters
    ----------
    model : name of a bundled model, or path of an .onnx file; None for the default model
    device : "cpu" or "cuda"
    working_size : short side of what the network sees, pixels, a multiple of the model's
        `multiple`; None for the model's own
    threads : cores to use on the CPU; 0 for all
    margins : whether to look for flat margins, such as the paper around a print, which then stay
        gray and are not shown to the network

    Raises
    ------
    ModelError
        The model is missing, damaged or not ours, or the device is not available.
    ConfigError
        The model cannot take this working size.

    Examples
    --------
    >>> result = Colorizer().predict("grandmother.jpg")  # doctest: +SKIP
    >>> result.save("grandmother.color.jpg")  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        device: str = "cpu",
        *,
        working_size: int | None = None,
        threads: int = 0,
        margins: bool = True,
    ) -> None:
        self.margins = margins
        self.model: Model = load_model(model, device, threads)
        self.threads = threads
        info = self.model.info
        self.working_size = info.working_size if working_size is None else working_size
        if not 0 < self.working_size <= 1024 or self.working_size % info.multiple:
            raise ConfigError(
                f"working size {self.working_size}: must be a multiple of {info.multiple}, "
                "at most 1024"
            )

    @property
    def info(self) -> ModelInfo:
        """What the model says about itself."""
        return self.model.info

    @overload
    def predict(
        self,
        photo: str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | NDArray[Any],
        hints: Sequence[HintLike] = ...,
    ) -> Prediction[NDArray[Any]]: ...
    @overload
    def predict(
        self, photo: PIL.Image.Image, hints: Sequence[HintLike] = ...
    ) -> Prediction[PIL.Image.Image]: ...
    @overload
    def predict(
        self, photo: torch.Tensor, hints: Sequence[HintLike] = ...
    ) -> Prediction[torch.Tensor]: ...
    @overload
    def predict(self, photo: Any, hints: Sequence[HintLike] = ...) -> Prediction: ...

    def predict(self, photo: Any, hints: Sequence[HintLike] = ()) -> Prediction:
        """Run the network on a photo, once.

        Parameters
        ----------
        photo : a path, the bytes of a file, a binary file, a PIL image, a torch tensor (1, H, W) or
            (3, H, W), or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of uint8, uint16 or
            float in [0, 1]. Three channels are RGB, in this order; OpenCV has BGR. Only the
            lightness of a color photo is used.
        hints : colors for spots, strokes or regions, see `Hint`; (x, y, color) is enough for a
            spot, where a color is (r, g, b), "#3a5fcd" or "navy". The result has exactly these
            colors there, and they spread over their object.

        Returns
        -------
        Prediction

        Raises
        ------
        PhotoError
            The photo cannot be read or used.
        HintError
            A hint is outside the photo, or has a value out of range; or the model takes no hints.
        """
        one, back = opened(photo)
        prediction = self._predicted(one, hints)
        return prediction if back is None else replace(prediction, back=back)

    def _predicted(self, opened: Photo, hints: Sequence[HintLike]) -> Prediction:
        shape = opened.height, opened.width
        if not opened.streamed:
            L = render.lightness(opened.pixels, self.threads)
            found = self.distribution(L, shape, hints, margin=self.margin(L, shape))
            return Prediction(opened, L, found, self.threads)
        check_hints(hints, shape, self.info)  # before the long way through the file
        seen, guide, margin = self._reduced(opened, shape)
        found = self.distribution(seen, shape, hints, margin=margin)
        upsampler = Upsampler(guide, found.size, shape)
        return Prediction(opened, guide, found, self.threads, upsampler)

    def _reduced(
        self, photo: Photo, shape: tuple[int, int]
    ) -> tuple[Float32, Float32, Margin | None]:
        """L of a streamed photo as the network and the upsampler look at it, and its margin."""
        margin = None
        while True:
            frame = self.frame(shape, margin)
            stride = self.info.stride
            small = frame.height // stride, frame.width // stride
            sizes = [(frame.height, frame.width), guide_size(small, shape), look_size(shape)]
            seen, guide, look = render.reduced_L(photo, sizes, self.threads)
            # Without a margin, one way through the file is enough.
            if margin is not None or (margin := self.margin(look, shape)) is None:
                return seen, guide, margin

    def margin(self, L: Float32, shape: tuple[int, int]) -> Margin | None:
        """The margin of a photo of (height, width), unless we don't look; see `find_margin`."""
        return find_margin(L, shape) if self.margins else None

    def frame(self, shape: tuple[int, int], margin: Margin | None = None) -> Frame:
        """The size of a photo of (height, width) as the network sees it."""
        box = None if margin is None else margin.box
        return Frame.of(*shape, self.working_size, self.info.multiple, box)

    def distribution(
        self,
        L: Float32,
        shape: tuple[int, int],
        hints: Sequence[HintLike] = (),
        *,
        plain: Float32 | None = None,
        margin: Margin | None = None,
    ) -> Distribution:
        """Run the network on a photo's lightness: `predict` without a photo.

        Parameters
        ----------
        L : float32, 0..100, of the whole photo; at its size, or reduced by `area_shrink` to the
            height and width of its `frame`, which gives the same result for less work
        shape : (height, width) of the photo
        hints : see `predict`, also for the errors
        plain : the logits without hints, if they are known
        margin : of the photo, if it has one; a hint in it says that it is none
        """
        frame = self.frame(shape, margin)
        places = check_hints(hints, shape, self.info)
        if margin is not None and any(margin.holds(place.x, place.y) for place in places):
            frame, margin, plain = frame.whole(self.info.multiple), None, None
        x = network_input(L, frame, self.info, [])
        found = Distribution(self._logits(x, frame) if plain is None else plain, self.info)
        if margin is not None:
            found = found.gray_in(margin)
        if not places:
            return found
        hinted = self._logits(network_input(L, frame, self.info, places), frame)
        p = None if self.info.regression else np.exp(found.log_probabilities())
        seen = seen_lightness(x, frame, replace(self.info, stride=1))
        anchors = Anchors.of(places, seen, found.ab(), p)
        return replace(found, logits=blend_hints(anchors, found.logits, hinted), anchors=anchors)

    def _logits(self, x: Float32, frame: Frame) -> Float32:
        stride = self.info.stride
        rows, columns = frame.cells(stride)
        seen = self.model(x)[:, : rows.stop - rows.start, : columns.stop - columns.start]
        size = frame.height // stride, frame.width // stride
        if seen.shape[1:] == size:
            return seen
        logits = np.empty((len(seen), *size), dtype=np.float32)
        logits[...] = neutral(self.info)[:, None, None]
        logits[:, rows, columns] = seen
        return logits

    def color_file(
        self,
        source: Photo | str | os.PathLike[str],
        target: str | os.PathLike[str],
        hints: Sequence[HintLike] = (),
        temperature: float = TEMPERATURE,
        saturation: float = 1.0,
        **settings: Unpack[FileSettings],
    ) -> None:
        """Color a file, with all its pages; see `predict` and `Prediction.save`.

        Hints are for the first page. The settings are those of `save`, and `FileSettings`.
        """
        photo = source if isinstance(source, Photo) else open_photo(source)
        candidate, page = settings.get("candidate"), settings.get("page")
        saving = cast(Settings, {k: v for k, v in settings.items() if k not in _OF_FILES})

        def predicted(one: Photo, hints: Sequence[HintLike]) -> Prediction:
            prediction = self._candidate(one, hints, candidate)
            if page is not None:
                page(prediction)
            return prediction

        if photo.pages == 1:
            predicted(photo, hints).save(target, temperature, saturation, **saving)
            return
        look, output = divided(temperature, saturation, saving)
        output.pop("quality", None)  # TIFF has none
        check_pages(photo, target)

        def pages() -> Iterator[tuple[Any, Photo]]:
            for number in range(photo.pages):
                one = photo if number == 0 else photo.turned_to(number)
                yield predicted(one, hints if number == 0 else ()).colors(look), one

        write_pages(target, pages(), Output(model=self.info.name, **output))

    def video(
        self, path: str | os.PathLike[str], settings: FilmSettings | None = None
    ) -> Iterator[ColoredFrame]:
        """The frames of a film in color, steady in time; see `photochrom.video.frames`.

        Parameters
        ----------
        path : of the film
        settings : None for the defaults

        Raises
        ------
        DependencyError
            The extra `video` is not installed.
        FilmError
            The film cannot be read.
        """
        from photochrom.video.film import frames

        return frames(path, self, settings)

    def _candidate(
        self, photo: Photo, hints: Sequence[HintLike], candidate: tuple[int, int] | None
    ) -> Prediction:
        """The prediction for a photo, or another coloring of it."""
        prediction = self.predict(photo, hints)
        if candidate is None:
            return prediction
        plain = self.predict(photo).distribution if hints else None
        other = prediction.distribution.candidate(*candidate, plain)
        return replace(prediction, distribution=other)
