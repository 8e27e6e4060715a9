"""The studio's work on one photo: decode, predict, render, encode.

Everything here runs in the threads of a `Lane`. The network is used by one thread at a time.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photochrom.arrays import Float32
from photochrom.color import bins
from photochrom.color.lab import fit_gamut
from photochrom.color.resize import area_shrink
from photochrom.color.upsample import Upsampler, guide_size
from photochrom.colorizer import Colorizer
from photochrom.distribution import Distribution
from photochrom.errors import PhotoError
from photochrom.hints import Hint
from photochrom.look import Look
from photochrom.margin import Margin
from photochrom.photo.formats.table import FORMATS
from photochrom.photo.framing import framed
from photochrom.photo.losses import losses
from photochrom.photo.photo import Photo
from photochrom.photo.pictures import resized, shrunk, to_jpeg, to_png
from photochrom.photo.read import decode_photo, photo_format, photo_size
from photochrom.photo.samples import to_uint8
from photochrom.photo.write import Output, format_for, write_pages
from photochrom.prediction import Prediction
from photochrom.render import Brush, lightness, painted
from photochrom.tone import is_colored
from photochrom.web.serving.answer import Refused
from photochrom.web.studio.asked import Box, Coloring
from photochrom.web.studio.cache import Cache
from photochrom.web.studio.geometry import cut_box, fit_within
from photochrom.web.studio.kept import KEPT, Base, Fields, Leanings, Level, Made, Ready, Sent, Whole
from photochrom.web.studio.limits import CANDIDATES, VIEW, Limits
from photochrom.web.studio.store import PLAIN, Store

__all__ = ["Darkroom"]

NAME = "photo"
"""What errors call a photo, which arrives without a name."""
_ONE_PAGE = "holds {} pages, and {} holds one: only the first is in the file; TIFF holds all"
_PAGE_BYTES = 8
"""Of all pages of a photo, in color, for each pixel that a photo may have: 16 bits with alpha."""
QUALITY = 90
"""Of the JPEGs on screen; from here on, libvips keeps the full chroma."""
ENTROPY = float(np.log2(bins.Q))
"""Bits of a pixel whose colors are all equally likely: white in the map of uncertainty."""


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """Blame the sender for an unusable photo. A large one may show it only when it is read."""
    try:
        yield
    except PhotoError as error:
        raise _refusal(422, error) from None


def _refusal(status: int, error: PhotoError) -> Refused:
    """A refusal without the name that we gave the photo: the sender knows its real one."""
    return Refused(status, error.reason, error.remedy, retry=error.retry)


def _around(margin: Margin, shape: tuple[int, int]) -> dict[str, int]:
    """The box around the pictures inside a margin, in pixels of the photo."""
    top, left, bottom, right = margin.box
    height, width = shape
    x, y = round(left * width), round(top * height)
    return {
        "x": x,
        "y": y,
        "width": round(right * width) - x,
        "height": round(bottom * height) - y,
    }


class Darkroom:
    """Decodes photos, runs the network on them, and makes pictures of the result.

    Parameters
    ----------
    colorizer : loaded once
    limits : see `Limits`
    cache : everything computed here is kept there, and computed again if it was dropped
    store : the files of the photos
    """

    def __init__(self, colorizer: Colorizer, limits: Limits, cache: Cache, store: Store) -> None:
        self.colorizer = colorizer
        self.limits = limits
        self.cache = cache
        self.store = store
        # The lanes of clicks and of whole files share the network.
        self._network = threading.Lock()

    # --- from file to logits ---

    def decode(self, path: Path) -> Photo:
        """Read a photo.

        Raises
        ------
        Refused
            It is empty, too large, damaged, or not a photo.
        """
        data = path.read_bytes()
        if not data:
            raise Refused(422, "the file is empty", "choose another")
        try:
            photo_format(data[:64], NAME)
        except PhotoError as error:
            raise _refusal(415, error) from None
        with _refusing():
            height, width = photo_size(data, NAME)
            if height * width > self.limits.pixels:
                # The command goes through a large photo in strips; the studio keeps all of it.
                command = height * width <= self.limits.reading.max_pixels
                raise Refused(
                    413,
                    f"{width} x {height} pixels are over the studio's limit of "
                    f"{self.limits.pixels / 1e6:g} megapixels",
                    "color it with the command photochrom colorize" if command else "scale it down",
                )
            return decode_photo(data, NAME, self.limits.reading)

    def receive(self, token: str, sent: Sent) -> tuple[Base, dict[str, Any]]:
        """Decode a new photo, and describe it; errors as for `decode`."""
        whole = self.cache.get((token, "whole"), lambda: self._read(sent))
        base = self.base(token, sent, whole)
        photo = whole.photo
        height, width = base.shape
        colored = is_colored(whole.photo)
        return base, {
            "photo": token,
            "width": width,
            "height": height,
            "format": FORMATS[photo.extension],
            "extension": photo.extension,
            "bits": 8 * photo.samples.itemsize,
            "color": colored,
            "pages": photo.pages,
            "notes": [
                note.removeprefix(f"{NAME}: ")
                for note in losses(photo, f"{NAME}{photo.extension}", self.colorizer.info.name)
            ],
            "border": None if base.margin is None else _around(base.margin, base.shape),
            "preview": {"width": base.view.shape[1], "height": base.view.shape[0]},
            "prediction": PLAIN,
        }

    def base(self, token: str, sent: Sent, whole: Whole | None = None) -> Base:
        """See `Base`."""

        def make() -> Base:
            photo = (whole or self._whole(token, sent)).photo
            shape = photo.height, photo.width
            L = lightness(photo.pixels)
            margin = self.colorizer.margin(L, shape)
            frame = self.colorizer.frame(shape, margin)
            small = area_shrink(L, (frame.height, frame.width))
            stride = self.colorizer.info.stride
            size = frame.height // stride, frame.width // stride
            guide = area_shrink(L, guide_size(size, shape))
            view = resized(to_uint8(photo.pixels), *fit_within(shape, VIEW))
            return Base(shape, small, guide, view, lightness(view), size, margin)

        return self.cache.get((token, "base"), make)

    def made(self, token: str, base: Base, hints: Sequence[Hint], name: str) -> Distribution:
        """What the network makes of a photo and hints."""

        def make() -> Distribution:
            # Before the lock, which this takes itself.
            plain = self.made(token, base, [], PLAIN).logits if hints else None
            with self._network:
                return self.colorizer.distribution(
                    base.small, base.shape, hints, plain=plain, margin=base.margin
                )

        return self.cache.get((token, "made", name), make, KEPT["made"])

    def _whole(self, token: str, sent: Sent) -> Whole:
        def make() -> Whole:
            try:
                return self._read(sent)
            except FileNotFoundError:
                self.store.get(token)  # Gone or Unknown: it has made room for others
                raise

        return self.cache.get((token, "whole"), make)

    def _read(self, sent: Sent) -> Whole:
        photo = self.decode(sent.path)
        with _refusing():
            return Whole.of(framed(photo, sent.framing))

    # --- from logits to colors ---

    def fields(self, token: str, base: Base, seed: int, found: Float32 | None = None) -> Fields:
        """The fields that were chosen without hints. Others would shuffle all candidates."""

        def make() -> Fields:
            if found is not None:
                return Fields(found)
            return Fields(self.made(token, base, [], PLAIN).leanings(CANDIDATES, seed)[1])

        return self.cache.get((token, "fields", seed), make, KEPT["fields"])

    def _colored(self, ready: Ready) -> Distribution:
        """The candidate that is asked for, or the likeliest coloring."""
        made, seed = ready.made, ready.coloring.seed
        if ready.coloring.candidate is None:
            return made

        def make() -> Leanings:
            found = Leanings(*made.leanings(CANDIDATES, seed, ready.fields))
            if ready.name == PLAIN:
                self.fields(ready.token, ready.base, seed, found.fields)
            return found

        key = ready.token, "leanings", ready.name, seed
        found = self.cache.get(key, make, KEPT["leanings"])
        return made.leaning(found.logits, found.fields[ready.coloring.candidate])

    def _ab(self, ready: Ready) -> Float32:
        """Color at the network's resolution; users click more often than they change settings."""
        return self.cache.get(
            (ready.token, "ab", ready.name, ready.coloring),
            lambda: self._colored(ready).ab(ready.coloring),
            KEPT["ab"],
        )

    # --- from colors to pictures ---

    def preview(self, ready: Ready, size: int, threads: int) -> bytes:
        """The colored photo as a JPEG; its longest side has at most `size` pixels."""
        level = self._view(ready, size)
        assert level.L is not None
        colored = self._colored(ready)
        fitted = level.upsampler.fit(colored.ab(ready.coloring))
        fitted = level.upsampler.touched(fitted, colored.exact(ready.coloring), level.L)
        brush = Brush(level.upsampler, fitted, margin=ready.made.margin)
        return to_jpeg(painted(brush, level.L, level.pixels, np.uint8, threads), QUALITY)

    def _view(self, ready: Ready, size: int) -> Level:
        """The photo at a preview's size."""
        base = ready.base
        height, width = fit_within(base.shape, size)

        def make() -> Level:
            pixels = resized(base.view, height, width)
            L = lightness(pixels)
            return Level(pixels, Upsampler(L, base.size), L)

        return self.cache.get((ready.token, "view", height, width), make, KEPT["view"])

    def level(self, token: str, sent: Sent, scale: int) -> Level:
        """The photo for tiles, at its own size or reduced."""

        def make() -> Level:
            base = self.base(token, sent)
            pixels = self._whole(token, sent).photo.pixels
            if scale > 1:
                pixels = shrunk(to_uint8(pixels), scale)
            shape = pixels.shape[0], pixels.shape[1]
            return Level(pixels, Upsampler(base.guide, base.size, shape))

        return self.cache.get((token, "level", scale), make, KEPT["level"])

    def tile(self, ready: Ready, level: Level, box: Box) -> bytes:
        """A rectangle of the colored photo as a JPEG."""
        return to_jpeg(self.paint(ready, level, box), QUALITY)

    def paint(self, ready: Ready, level: Level, box: Box) -> NDArray[np.uint8]:
        """A rectangle in color: the same pixels as in a rendering of the whole level in 8 bits."""
        rows, columns = cut_box(box, level.pixels.shape)
        fitted = self.cache.get(
            (ready.token, "fitted", ready.name, ready.coloring, box.scale),
            lambda: self._fitted(ready, level),
            KEPT["fitted"],
        )
        L = lightness(level.pixels[rows, columns])
        part = level.upsampler.columns(columns)
        pixels = np.empty((*L.shape, 3), dtype=np.uint8)
        part.paint(np.ascontiguousarray(fitted[..., columns]), L, pixels, rows.start)
        if ready.made.margin is not None:
            shape = level.pixels.shape[0], level.pixels.shape[1]
            ready.made.margin.clear(L, pixels, shape, rows.start, columns.start)
        return pixels

    def _fitted(self, ready: Ready, level: Level) -> Float32:
        """The curves of a level, with the exact colors of the hints."""
        height, width = level.pixels.shape[:2]
        fitted = level.upsampler.fit(self._ab(ready))
        for x, y, ab in self._colored(ready).exact(ready.coloring):
            # Its L alone: that of a whole photo would take seconds.
            row, column = int(y * height), int(x * width)
            L = lightness(level.pixels[row : row + 1, column : column + 1])
            fitted = level.upsampler.touched(fitted, [(x, y, ab)], L)
        return fitted

    def original(self, base: Base, size: int) -> bytes:
        """The photo itself as a JPEG, with the geometry of `preview`."""
        return to_jpeg(resized(base.view, *fit_within(base.shape, size)), QUALITY)

    def original_tile(self, level: Level, box: Box) -> bytes:
        """A rectangle of the photo itself as a JPEG, with the geometry of `tile`."""
        rows, columns = cut_box(box, level.pixels.shape)
        return to_jpeg(to_uint8(level.pixels[rows, columns]), QUALITY)

    # --- other answers ---

    def candidates(self, ready: Ready, n: int) -> list[dict[str, Any]]:
        """Each candidate: its number and its mean color."""
        L = area_shrink(ready.base.small, ready.base.size)
        found = []
        for k in range(n):
            coloring = Coloring(candidate=k, seed=ready.coloring.seed)
            ab = self._colored(replace(ready, coloring=coloring)).ab()
            mean = fit_gamut(L, ab, np.uint8).mean(axis=(0, 1))
            found.append({"candidate": k, "color": [round(float(v)) for v in mean]})
        return found

    def palette(self, ready: Ready, at: tuple[float, float], n: int) -> dict[str, Any]:
        """The likely colors of a spot, its distribution over the bins, and its current color."""
        base, (x, y) = ready.base, at
        height, width = base.shape
        rows, columns = base.L.shape
        # From centers of pixels to centers of pixels.
        at_x = min(max((x + 0.5) * columns / width - 0.5, 0), columns - 1)
        at_y = min(max((y + 0.5) * rows / height - 0.5, 0), rows - 1)
        L = float(base.L[int(at_y), int(at_x)])
        share = (at_x + 0.5) / columns, (at_y + 0.5) / rows
        h, w = base.size
        # Half a pixel before the far edge, the sums reach h and w.
        row = min(int((y + 0.5) / height * h), h - 1)
        column = min(int((x + 0.5) / width * w), w - 1)
        return {
            "L": round(L, 3),
            "colors": [
                {
                    "color": list(rgb),
                    "ab": [round(v, 2) for v in center],
                    "probability": round(probability, 5),
                }
                for rgb, center, probability in ready.made.swatches(*share, L, n)
            ],
            "bins": [
                [float(a), float(b), round(float(p), 6)]
                for (a, b), p in zip(ready.made.info.bins, ready.made.at(*share), strict=True)
            ],
            "current": fit_gamut(np.float32(L), self._ab(ready)[row, column], np.uint8).tolist(),
        }

    def uncertainty(self, ready: Ready, size: int) -> bytes:
        """The entropy of each pixel as a gray PNG of a preview's size; white is `ENTROPY` bits."""
        bits = area_shrink(ready.made.uncertainty(), fit_within(ready.base.shape, size))
        levels = bits * np.float32(255 / ENTROPY)
        return to_png(np.rint(np.clip(levels, 0, 255)).astype(np.uint8)[..., None])

    def spots(self, ready: Ready, hints: Sequence[Hint], n: int) -> list[dict[str, Any]]:
        """The n places where a hint would help most, in pixels of the photo."""
        height, width = ready.base.shape
        h, w = ready.made.size
        given = [(hint.x / width, hint.y / height) for hint in hints]
        return [
            {
                "x": min(int((column + 0.5) * width / w), width - 1),
                "y": min(int((row + 0.5) * height / h), height - 1),
                "bits": round(bits, 2),
            }
            for row, column, bits in ready.made.weak_spots(n, given)
        ]

    # --- whole files ---

    def download(self, ready: Ready, sent: Sent, extension: str) -> Made:
        """A file with the whole photo in color; hints and candidates count for its first page.

        Raises
        ------
        Refused
            The format cannot hold it.
        """
        photo = self._whole(ready.token, sent).photo
        L = lightness(photo.pixels)
        result = Prediction(photo, L, self._colored(ready))
        return self._export(result, ready.coloring, extension)

    def color(self, sent: Sent, coloring: Coloring, extension: str | None) -> Made:
        """Color a file: a file with the result.

        Errors as for `decode` and `download`.
        """
        photo = self.decode(sent.path)
        with _refusing():
            photo = framed(photo, sent.framing)
            L = lightness(photo.pixels)
        with self._network:
            shape = photo.height, photo.width
            made = self.colorizer.distribution(L, shape, margin=self.colorizer.margin(L, shape))
        result = Prediction(photo, L, made, self.colorizer.threads)
        return self._export(result, coloring, extension or photo.extension)

    def _export(self, result: Prediction, coloring: Coloring, extension: str) -> Made:
        """A file in the store's folder, which the caller removes."""
        photo = result.photo
        with _refusing():
            form = format_for(f"{NAME}{extension}", photo)  # the client knows the file by this name
            notes = losses(photo, f"{NAME}{extension}", self.colorizer.info.name)
        whole = photo.pages > 1 and form.holds.pages
        if photo.pages > 1 and not whole:
            notes.append(f"{NAME}: {_ONE_PAGE.format(photo.pages, form.name)}")
        if whole and photo.facts.volume > _PAGE_BYTES * self.limits.pixels:
            raise Refused(
                413,
                f"its {photo.pages} pages are too large for the studio",
                "color it with the command photochrom colorize",
            )
        target = self.store.folder() / f"{secrets.token_hex(16)}{extension}"
        channels = 3 if photo.alpha is None else 4
        size = photo.width * photo.height * channels * photo.samples.itemsize
        try:
            # It takes at most about that much. The real size is known when it is written.
            self.store.hold(target, max(size, photo.facts.volume) if whole else size)
            if whole:
                output = Output(model=self.colorizer.info.name)
                write_pages(target, self._pages(result, coloring), output)
            else:
                result.save(target, coloring.temperature, coloring.saturation)
            self.store.hold(target, target.stat().st_size)
        except BaseException as error:
            self.store.release(target)
            # Errors of the disk are not the sender's, and name a file that only we know.
            of_disk = isinstance(error.__context__, OSError)
            if isinstance(error, PhotoError) and not error.not_written and not of_disk:
                raise Refused.because(422, error) from None
            raise
        return Made(target, tuple(note.removeprefix(f"{NAME}: ") for note in notes))

    def _pages(self, first: Prediction, coloring: Coloring) -> Iterator[tuple[Any, Photo]]:
        """The colors of each page of a photo, whose first one is known, and the page."""
        look = Look(coloring.temperature, coloring.saturation)
        for number in range(first.photo.pages):
            result = first
            if number:
                page = first.photo.turned_to(number)
                L = lightness(page.pixels)
                with self._network:
                    made = self.colorizer.distribution(L, (page.height, page.width))
                result = Prediction(page, L, made, self.colorizer.threads)
            yield result.colors(look), result.photo
