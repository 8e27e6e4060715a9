"""The main path: photo -> L -> distribution -> ab -> photo.

`Colorizer.predict` runs the network once. What it returns, a `Prediction`, holds the distribution
over the 313 colors for every pixel, and answers from it: render, candidates, palette, uncertainty.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from photochrom import render
from photochrom.arrays import Float32
from photochrom.color import bins
from photochrom.color.upsample import Upsampler, guide_size
from photochrom.errors import ConfigError
from photochrom.frame import Frame, network_input, seen_lightness
from photochrom.hints import Anchors, Hint, check_hints, heard
from photochrom.models import Model, ModelInfo, load_model
from photochrom.photo.open import open_photo
from photochrom.photo.photo import Photo
from photochrom.photo.write import check_pages, write_pages
from photochrom.prediction import Prediction
from photochrom.render import lightness

__all__ = ["Colorizer"]


class Colorizer:
    """Colors gray photographs with one model, loaded once.

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
        The model is missing, damaged or not ours, or the device is not there.
    ConfigError
        A working size that the model cannot take.

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
        """What the model says of itself."""
        return self.model.info

    def predict(self, photo: Any, hints: Sequence[Hint] = ()) -> Prediction:
        """Run the network on a photo, once.

        Parameters
        ----------
        photo : a path, a PIL image, or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of uint8,
            uint16 or float in [0, 1]; of a color photo only the lightness is used
        hints : colors for places, (x, y, (r, g, b)) with the color as sRGB in 0..255; of the color
            only a and b are used. They are followed to the letter and spread to like pixels.

        Returns
        -------
        Prediction

        Raises
        ------
        PhotoError
            The photo cannot be read or used.
        HintError
            A hint lies outside the photo or is no color, or the model takes none.
        """
        opened = photo if isinstance(photo, Photo) else open_photo(photo)
        if not opened.streamed:
            return self.run(opened, lightness(opened, self.threads), hints)
        shape = opened.height, opened.width
        check_hints(hints, shape, self.info)  # before the long way through the file
        frame = self.frame(shape)
        stride = self.info.stride
        small = frame.height // stride, frame.width // stride
        sizes = [(frame.height, frame.width), guide_size(small, shape)]
        seen, guide = render.reduced_L(opened, sizes, self.threads)
        prediction = self.run(opened, guide, hints, small=seen)
        return replace(prediction, upsampler=Upsampler(guide, small, shape))

    def frame(self, shape: tuple[int, int]) -> Frame:
        """What the network sees of a photo of (height, width)."""
        return Frame.of(*shape, self.working_size, self.info.multiple)

    def run(
        self,
        photo: Photo,
        L: Float32,
        hints: Sequence[Hint] = (),
        *,
        shape: tuple[int, int] | None = None,
        small: Float32 | None = None,
        plain: Float32 | None = None,
    ) -> Prediction:
        """`predict`, for who has more than the photo, or less.

        Parameters
        ----------
        photo, L : what the prediction shall render; its L, float32 (H, W), 0..100
        hints : see `predict`, also for the errors
        shape : (height, width) of the photo in whose pixels the hints are, where `photo` is a
            reduced copy
        small : L of the whole photo, reduced by `area_shrink` to the height and width of its
            `frame`; the same result for less work
        plain : the logits without hints, where they are known
        """
        shape = (photo.height, photo.width) if shape is None else shape
        small = L if small is None else small
        frame = self.frame(shape)
        places = check_hints(hints, shape, self.info)
        x = network_input(small, frame, self.info, [])
        logits = self._logits(x, frame) if plain is None else plain
        prediction = Prediction(photo, L, logits, self.info, self.threads)
        if not places:
            return prediction
        hinted = self._logits(network_input(small, frame, self.info, places), frame)
        p = None if self.info.regression else np.exp(prediction.log_probabilities())
        return replace(
            prediction,
            logits=heard(places, logits, hinted, p),
            anchors=Anchors.of(places, seen_lightness(x, frame, self.info), p),
        )

    def _logits(self, x: Float32, frame: Frame) -> Float32:
        stride = self.info.stride
        return self.model(x)[:, : frame.height // stride, : frame.width // stride]

    def color_file(
        self,
        source: Photo | str | os.PathLike[str],
        target: str | os.PathLike[str],
        hints: Sequence[Hint] = (),
        temperature: float = bins.TEMPERATURE,
        saturation: float = 1.0,
        *,
        keep_color: float = 0.0,
        quality: int | None = None,
        force: bool = False,
        draft: str | None = None,
        ready: Callable[[str], None] | None = None,
    ) -> None:
        """Color a file, with all its pages; see `predict` and `Prediction.save`."""
        photo = source if isinstance(source, Photo) else open_photo(source)
        colors: dict[str, Any] = {
            "temperature": temperature,
            "saturation": saturation,
            "keep_color": keep_color,
        }
        put: dict[str, Any] = {"force": force, "draft": draft, "ready": ready}
        if photo.pages == 1:
            self.predict(photo, hints).save(target, **colors, quality=quality, **put)
            return
        check_pages(photo, target)

        def pages() -> Iterator[tuple[Any, Photo]]:
            for page in range(photo.pages):
                one = photo if page == 0 else photo.turned_to(page)
                prediction = self.predict(one, hints if page == 0 else ())
                yield prediction.colors(**colors), one

        write_pages(target, pages(), model=self.info.name, **put)
