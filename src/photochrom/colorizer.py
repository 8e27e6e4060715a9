"""The main path: photo -> L -> distribution -> ab -> photo.

`Colorizer.predict` runs the network once and returns a `Prediction`. It holds the distribution over
the 313 colors for every pixel, which answers everything else: render, candidates, palette,
uncertainty.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from photochrom import render
from photochrom.anchors import Anchors, blend_hints
from photochrom.arrays import Float32
from photochrom.color.bins import TEMPERATURE
from photochrom.color.upsample import Upsampler, guide_size
from photochrom.distribution import Distribution
from photochrom.errors import ConfigError
from photochrom.frame import Frame, network_input, seen_lightness
from photochrom.hints import HintLike, check_hints
from photochrom.models import Model, ModelInfo, load_model
from photochrom.photo.open import open_photo
from photochrom.photo.photo import Photo
from photochrom.photo.write import Output, check_pages, write_pages
from photochrom.prediction import Prediction, Settings, divided

if TYPE_CHECKING:
    from photochrom.video.film import ColoredFrame
    from photochrom.video.film import Settings as FilmSettings

__all__ = ["Colorizer"]


class Colorizer:
    """Colors gray photographs with one model, which is loaded once.

    Parameters
    ----------
    model : name of a bundled model, or path of an .onnx file; None for the default model
    device : "cpu" or "cuda"
    working_size : short side of what the network sees, pixels, a multiple of the model's
        `multiple`; None for the model's own
    threads : cores to use on the CPU; 0 for all

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
    ) -> None:
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

    def predict(self, photo: Any, hints: Sequence[HintLike] = ()) -> Prediction:
        """Run the network on a photo, once.

        Parameters
        ----------
        photo : a path, a PIL image, or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of uint8,
            uint16 or float in [0, 1]; only the lightness of a color photo is used
        hints : colors for spots, strokes or regions, see `Hint`; (x, y, (r, g, b)) is enough for a
            spot. The result has exactly these colors there, and they spread over their object.

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
        opened = photo if isinstance(photo, Photo) else open_photo(photo)
        shape = opened.height, opened.width
        if not opened.streamed:
            L = render.lightness(opened.pixels, self.threads)
            return Prediction(opened, L, self.distribution(L, shape, hints), self.threads)
        check_hints(hints, shape, self.info)  # before the long way through the file
        frame = self.frame(shape)
        stride = self.info.stride
        small = frame.height // stride, frame.width // stride
        sizes = [(frame.height, frame.width), guide_size(small, shape)]
        seen, guide = render.reduced_L(opened, sizes, self.threads)
        upsampler = Upsampler(guide, small, shape)
        found = self.distribution(seen, shape, hints)
        return Prediction(opened, guide, found, self.threads, upsampler)

    def frame(self, shape: tuple[int, int]) -> Frame:
        """The size of a photo of (height, width) as the network sees it."""
        return Frame.of(*shape, self.working_size, self.info.multiple)

    def distribution(
        self,
        L: Float32,
        shape: tuple[int, int],
        hints: Sequence[HintLike] = (),
        *,
        plain: Float32 | None = None,
    ) -> Distribution:
        """Run the network on a photo's lightness: `predict` without a photo.

        Parameters
        ----------
        L : float32, 0..100, of the whole photo; at its size, or reduced by `area_shrink` to the
            height and width of its `frame`, which gives the same result for less work
        shape : (height, width) of the photo
        hints : see `predict`, also for the errors
        plain : the logits without hints, if they are known
        """
        frame = self.frame(shape)
        places = check_hints(hints, shape, self.info)
        x = network_input(L, frame, self.info, [])
        found = Distribution(self._logits(x, frame) if plain is None else plain, self.info)
        if not places:
            return found
        hinted = self._logits(network_input(L, frame, self.info, places), frame)
        p = None if self.info.regression else np.exp(found.log_probabilities())
        seen = seen_lightness(x, frame, replace(self.info, stride=1))
        anchors = Anchors.of(places, seen, found.ab(), p)
        return replace(found, logits=blend_hints(anchors, found.logits, hinted), anchors=anchors)

    def _logits(self, x: Float32, frame: Frame) -> Float32:
        stride = self.info.stride
        return self.model(x)[:, : frame.height // stride, : frame.width // stride]

    def color_file(
        self,
        source: Photo | str | os.PathLike[str],
        target: str | os.PathLike[str],
        hints: Sequence[HintLike] = (),
        temperature: float = TEMPERATURE,
        saturation: float = 1.0,
        **settings: Unpack[Settings],
    ) -> None:
        """Color a file, with all its pages; see `predict` and `Prediction.save`."""
        photo = source if isinstance(source, Photo) else open_photo(source)
        if photo.pages == 1:
            self.predict(photo, hints).save(target, temperature, saturation, **settings)
            return
        look, output = divided(temperature, saturation, settings)
        output.pop("quality", None)  # TIFF has none
        check_pages(photo, target)

        def pages() -> Iterator[tuple[Any, Photo]]:
            for page in range(photo.pages):
                one = photo if page == 0 else photo.turned_to(page)
                prediction = self.predict(one, hints if page == 0 else ())
                yield prediction.colors(look), one

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
