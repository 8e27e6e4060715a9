"""What the studio does with photos: receive, color, show, correct, hand out.

::

    a file ──▶ Base ──▶ logits ──▶ preview, tile, palette, candidates, uncertainty, download
       decoded once     the network, once for each set of hints

The work runs in four lanes. `decodes` and `networks` take one photo at a time; `renders` answers
from what is there, so that a slider never waits for a network; `exports` writes whole files.
Between them only the `Cache` is shared, and all that is in it can be computed again.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from photochrom.arrays import Float32
from photochrom.color import bins
from photochrom.color.lab import fit_gamut, is_gray, rgb_to_lab
from photochrom.color.upsample import Upsampler, area_shrink, box_mean, guide_size
from photochrom.colorizer import Colorizer
from photochrom.errors import ConfigError, PhotochromError, PhotoError
from photochrom.hints import Hint
from photochrom.look import Look
from photochrom.photo.formats.table import FORMATS
from photochrom.photo.photo import Photo
from photochrom.photo.pictures import resized, shrunk, to_jpeg, to_png
from photochrom.photo.read import decode_photo, photo_format, photo_size
from photochrom.photo.samples import to_uint8
from photochrom.pool import cpus
from photochrom.prediction import Prediction
from photochrom.render import lightness
from photochrom.web.studio.cache import Cache, Key
from photochrom.web.studio.darkroom import told_losses
from photochrom.web.studio.geometry import cut_box, fit_within
from photochrom.web.studio.kept import (
    KEPT,
    Base,
    Fields,
    Full,
    Leanings,
    Level,
    Made,
    encoded_picture,
)
from photochrom.web.studio.lane import Lane
from photochrom.web.studio.limits import CANDIDATES, VIEW, Box, Limits, Refused
from photochrom.web.studio.store import PLAIN, Store, Upload, prediction_name

__all__ = ["Studio"]

T = TypeVar("T")
QUALITY = 90
"""Of the JPEGs on screen; from here on with full chroma."""
ENTROPY = float(np.log2(bins.Q))
"""Bits of a pixel for which all colors are as likely: white in the map of uncertainty."""
APART = 0.25
"""Of the photo's short side: how far the spots that are proposed are from each other, and about how
far from hints."""
MARGIN = 0.08
"""Of the photo's short side: nearer to its edges no spot is proposed, for an edge says little of
what lies inside, and a finger hardly reaches it."""


class Studio:
    """Photos, their predictions and all that is made of them, for any number of users at once.

    As a context manager, or by `close`, it leaves no file behind.

    Parameters
    ----------
    colorizer : loaded once
    limits : see `Limits`
    """

    def __init__(self, colorizer: Colorizer, limits: Limits | None = None) -> None:
        self.colorizer = colorizer
        self.limits = limits or Limits()
        self.cache = Cache(self.limits.memory, self.limits.memory_age)
        self.store = Store(self.limits.photos, self.limits.disk, self.limits.age, self.cache)
        self.decodes = Lane("decode", 1, self.limits.decodes)
        self.networks = Lane("network", 1, self.limits.networks)
        self.renders = Lane("render", min(4, max(2, cpus())), self.limits.renders)
        self.exports = Lane("export", 1, self.limits.exports)
        # The lanes of clicks and of whole files share it.
        self._network = threading.Lock()

    def __enter__(self) -> Studio:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Finish what is in hand and remove all files."""
        lanes = self.decodes, self.networks, self.renders, self.exports
        try:
            for lane in lanes:
                lane.drop()  # of all of them, before any is waited for
            for lane in lanes:
                lane.close()
        finally:
            self.store.close()  # also when a second Ctrl-C ends the waiting

    # --- what the routes ask for ---

    async def add(self, path: Path) -> Upload:
        """Take over the file of a photo, decode it and run the network on it.

        Raises
        ------
        Refused
            It is too large, no photo, or damaged. The file is removed then.
        """
        token = secrets.token_urlsafe(16)
        self.cache.admit(token)
        try:
            base, description = await self.decodes.run(lambda: self._receive(token, path))
            name = str(description["prediction"])
            await self.networks.run(lambda: self._made(token, base, [], name))
        except BaseException:
            self.cache.drop(token)
            self.store.release(path)
            raise
        return self.store.add(path, description, token)

    async def predict(self, token: str, hints: Sequence[Hint]) -> str:
        """Run the network with hints, unless it has; the name of the prediction."""
        upload = self.store.get(token)
        name = prediction_name(hints)

        base = await self._base_of(token)
        await self._cached(
            (token, "made", name), lambda: self._made(token, base, hints, name), self.networks
        )
        # Not before: wrong ones are an error here and not at the first picture.
        upload.remember(hints)
        return name

    async def preview(self, token: str, name: str, look: Look, size: int) -> bytes:
        """The colored photo as a JPEG, its longest side at most `size` pixels."""
        base, made = await self._ready(token, name, look)

        def work() -> bytes:
            level = self._view(token, base, size)
            assert level.L is not None
            shown = replace(
                self._colored(token, name, base, made, look),
                photo=encoded_picture(level.pixels),
                L=level.L,
                upsampler=level.upsampler,
                threads=1 if self.renders.crowded else 0,
            )
            return to_jpeg(shown.render(look.temperature, look.saturation), QUALITY)

        return await self.renders.run(work)

    async def tile(self, token: str, name: str, look: Look, box: Box) -> bytes:
        """A rectangle of the colored photo as a JPEG; see `cut_box` for its geometry."""
        base, made = await self._ready(token, name, look)
        level = await self._level(token, box.scale)

        def work() -> bytes:
            return to_jpeg(self._paint(token, name, base, made, level, look, box), QUALITY)

        return await self.renders.run(work)

    async def original(self, token: str, size: int) -> bytes:
        """The photo as it came, as a JPEG of the same geometry as `preview`."""
        base = await self._base_of(token)

        def work() -> bytes:
            return to_jpeg(resized(base.photo.pixels, *fit_within(base.shape, size)), QUALITY)

        return await self.renders.run(work)

    async def original_tile(self, token: str, box: Box) -> bytes:
        """A rectangle of the photo as it came, as a JPEG of the same geometry as `tile`."""
        level = await self._level(token, box.scale)

        def work() -> bytes:
            rows, columns = cut_box(box, level.pixels.shape)
            return to_jpeg(to_uint8(level.pixels[rows, columns]), QUALITY)

        return await self.renders.run(work)

    async def candidates(self, token: str, name: str, n: int, seed: int) -> list[dict[str, Any]]:
        """The candidates of a seed: each its number and its mean color.

        With other hints of the same photo each keeps its number, and its look where they allow.
        """
        base, made = await self._ready(token, name, Look(candidate=0, seed=seed))

        def work() -> list[dict[str, Any]]:
            L = area_shrink(base.small, base.size)
            found = []
            for k in range(n):
                look = Look(candidate=k, seed=seed)
                ab = self._colored(token, name, base, made, look).ab()
                mean = fit_gamut(L, ab, np.uint8).mean(axis=(0, 1))
                found.append({"candidate": k, "color": [round(float(v)) for v in mean]})
            return found

        return await self.renders.run(work)

    async def palette(
        self, token: str, name: str, look: Look, x: float, y: float, n: int
    ) -> dict[str, Any]:
        """The likely colors of a spot, its distribution over the bins, and its color now."""
        base, made = await self._ready(token, name, look)
        height, width = base.shape
        if not (0 <= x < width and 0 <= y < height):
            raise ConfigError(f"({x:g}, {y:g}) lies outside the photo of {width} x {height}")

        def work() -> dict[str, Any]:
            prediction = self._prediction(base, made)
            rows, columns = base.L.shape
            # Centers of pixels onto centers of pixels.
            at_x = min(max((x + 0.5) * columns / width - 0.5, 0), columns - 1)
            at_y = min(max((y + 0.5) * rows / height - 0.5, 0), rows - 1)
            L, p = prediction.spot(at_x, at_y)
            h, w = base.size
            # Half a pixel before the far edge the sums reach h and w.
            row = min(int((y + 0.5) / height * h), h - 1)
            column = min(int((x + 0.5) / width * w), w - 1)
            ab = self._ab(token, name, base, made, look)[row, column]
            swatches = prediction.swatches(at_x, at_y, n)
            centers = self.colorizer.info.bins
            return {
                "L": round(L, 3),
                "colors": [
                    {
                        "color": list(rgb),
                        "ab": [round(v, 2) for v in center],
                        "probability": round(share, 5),
                    }
                    for rgb, center, share in swatches
                ],
                "bins": [
                    [float(a), float(b), round(float(share), 6)]
                    for (a, b), share in zip(centers, p, strict=True)
                ],
                "current": fit_gamut(np.float32(L), ab, np.uint8).tolist(),
            }

        return await self.renders.run(work)

    async def uncertainty(self, token: str, name: str, size: int) -> bytes:
        """The entropy of each pixel as a gray PNG of a preview's size: white is `ENTROPY` bits."""
        base, made = await self._ready(token, name)

        def work() -> bytes:
            bits = self._prediction(base, made).uncertainty()
            levels = area_shrink(bits, fit_within(base.shape, size)) * np.float32(255 / ENTROPY)
            return to_png(np.rint(np.clip(levels, 0, 255)).astype(np.uint8)[..., None])

        return await self.renders.run(work)

    async def spots(self, token: str, name: str, n: int) -> list[dict[str, Any]]:
        """The n places where a click would tell most, apart from each other."""
        base, made = await self._ready(token, name)
        hints = self.store.get(token).recall(name)

        def work() -> list[dict[str, Any]]:
            bits = self._prediction(base, made).uncertainty()
            # A click is spread over its object: a large unsure area gains more than a single pixel,
            # and beyond the edge there is nothing to gain.
            left = box_mean(box_mean(box_mean(np.pad(bits, 3))))[3:-3, 3:-3]
            h, w = bits.shape
            height, width = base.shape
            y, x = np.mgrid[:h, :w]
            apart = APART * min(h, w)
            inside = np.minimum(np.minimum(x, w - 1 - x), np.minimum(y, h - 1 - y))
            # In places that are ruled out the order stays, for whoever asks for more than fit.
            left = np.where(inside >= MARGIN * min(h, w), left, 1e-3 * left)
            for at_x, at_y, _ in hints:
                row, column = at_y / height * h - 0.5, at_x / width * w - 0.5
                distance = ((y - row) ** 2 + (x - column) ** 2) / apart**2
                left = left * (1 - np.exp(-2 * distance))
            found = []
            for _ in range(n):
                row, column = np.unravel_index(int(left.argmax()), left.shape)
                found.append(
                    {
                        "x": min(int((column + 0.5) * width / w), width - 1),
                        "y": min(int((row + 0.5) * height / h), height - 1),
                        "bits": round(float(bits[row, column]), 2),
                    }
                )
                distance = ((y - row) ** 2 + (x - column) ** 2) / apart**2
                left = np.where(distance > 1, left, 1e-3 * left) * (1 - np.exp(-2 * distance))
            return found

        return await self.renders.run(work)

    async def download(self, token: str, name: str, look: Look, extension: str | None) -> Path:
        """A file with the whole photo in color, which the caller removes.

        Raises
        ------
        PhotoError
            The format cannot hold it.
        """
        upload = self.store.get(token)
        hints = upload.recall(name)
        target = extension or str(upload.description["extension"])

        def work() -> Path:
            base = self._base(token, upload.path)
            made = self._made(token, base, hints, name)
            if look.candidate is not None and name != PLAIN:
                made = replace(made, fields=self._fields(token, base, look.seed).fields)
            full = self._full(token, upload.path).photo
            colored = self._colored(token, name, base, made, look)
            return self._export(replace(colored, photo=full, L=lightness(full)), look, target)

        return await self.exports.run(work, discard=self.store.release)

    async def color(self, path: Path, look: Look, extension: str | None) -> Path:
        """Color a file and forget it: a file with the result, which the caller removes.

        Errors as of `add` and `download`.
        """

        def work() -> Path:
            photo = self._decode(path)
            with told_losses():
                L = lightness(photo)
            with self._network:
                result = self.colorizer.run(photo, L)
            return self._export(result, look, extension or photo.extension)

        return await self.exports.run(work, discard=self.store.release)

    # --- from file to logits ---

    def _decode(self, path: Path) -> Photo:
        data = path.read_bytes()
        if not data:
            raise Refused(422, "the file is empty; choose another")
        try:
            photo_format(data[:64])
        except PhotoError as error:
            raise Refused(415, str(error)) from None
        with told_losses():
            height, width = photo_size(data)
            if height * width > self.limits.pixels:
                raise Refused(
                    413,
                    f"photo: {width} x {height} pixels are more than the "
                    f"{self.limits.pixels / 1e6:g} megapixels that are taken here; scale it down",
                )
            return decode_photo(data)

    def _receive(self, token: str, path: Path) -> tuple[Base, dict[str, Any]]:
        full = self.cache.get((token, "full"), lambda: self._whole(path))
        base = self._base(token, path, full)
        photo = full.photo
        height, width = base.shape
        view = base.photo.pixels
        colored = view.shape[2] == 3 and not is_gray(rgb_to_lab(view))
        return base, {
            "photo": token,
            "width": width,
            "height": height,
            "format": FORMATS[photo.extension],
            "extension": photo.extension,
            "bits": 8 * photo.samples.itemsize,
            "color": colored,
            "preview": {"width": base.photo.width, "height": base.photo.height},
            "prediction": PLAIN,
        }

    def _full(self, token: str, path: Path) -> Full:
        return self.cache.get((token, "full"), lambda: self._reread(token, path))

    def _whole(self, path: Path) -> Full:
        photo = self._decode(path)
        with told_losses():
            return Full.of(photo)

    def _reread(self, token: str, path: Path) -> Full:
        try:
            return self._whole(path)
        except FileNotFoundError:
            self.store.get(token)  # Gone or Unknown: it made room for others meanwhile
            raise

    def _base(self, token: str, path: Path, full: Full | None = None) -> Base:
        def make() -> Base:
            photo = (full or self._full(token, path)).photo
            shape = photo.height, photo.width
            L = lightness(photo)
            frame = self.colorizer.frame(shape)
            small = area_shrink(L, (frame.height, frame.width))
            guide = area_shrink(L, guide_size((small.shape[0] // 4, small.shape[1] // 4), shape))
            view = encoded_picture(resized(to_uint8(photo.pixels), *fit_within(shape, VIEW)))
            return Base(shape, small, guide, view, lightness(view))

        return self.cache.get((token, "base"), make)

    def _made(self, token: str, base: Base, hints: Sequence[Hint], name: str) -> Made:
        def make() -> Made:
            # Before the lock, which it takes itself.
            plain = self._made(token, base, [], PLAIN).logits if hints else None
            with self._network:
                result = self.colorizer.run(
                    base.photo, base.L, hints, shape=base.shape, small=base.small, plain=plain
                )
            return Made(result.logits, result.anchors)

        return self.cache.get((token, "made", name), make, KEPT["made"])

    async def _base_of(self, token: str) -> Base:
        upload = self.store.get(token)
        return await self._cached(
            (token, "base"), lambda: self._base(token, upload.path), self.decodes
        )

    async def _ready(self, token: str, name: str, look: Look | None = None) -> tuple[Base, Made]:
        """What a picture of a prediction is made of, computed again where it has been dropped."""
        hints = self.store.get(token).recall(name)
        base = await self._base_of(token)
        made = await self._cached(
            (token, "made", name), lambda: self._made(token, base, hints, name), self.networks
        )
        if look is not None and look.candidate is not None and name != PLAIN:
            # Here, for a thread that renders never waits for the network.
            seed = look.seed
            fields = await self._cached(
                (token, "fields", seed), lambda: self._fields(token, base, seed), self.networks
            )
            made = replace(made, fields=fields.fields)
        return base, made

    async def _cached(self, key: Key, make: Callable[[], T], lane: Lane) -> T:
        found: T | None = self.cache.peek(key)
        return await lane.run(make) if found is None else found

    # --- from logits to pictures ---

    def _prediction(self, base: Base, made: Made) -> Prediction:
        info = self.colorizer.info
        return Prediction(base.photo, base.L, made.logits, info, anchors=made.anchors)

    def _colored(self, token: str, name: str, base: Base, made: Made, look: Look) -> Prediction:
        """A candidate, or the likeliest coloring."""
        prediction = self._prediction(base, made)
        if look.candidate is None:
            return prediction

        def make() -> Leanings:
            found = Leanings(*prediction.leanings(CANDIDATES, look.seed, made.fields))
            if name == PLAIN:
                self._fields(token, base, look.seed, found.fields)
            return found

        key = token, "leanings", name, look.seed
        found = self.cache.get(key, make, KEPT["leanings"])
        field: Float32 = found.fields[look.candidate]
        return replace(prediction, logits=np.add(found.logits, field[:, None, None]))

    def _fields(self, token: str, base: Base, seed: int, found: Float32 | None = None) -> Fields:
        """Those chosen without hints: a hint that chose others would shuffle all candidates."""

        def make() -> Fields:
            if found is not None:
                return Fields(found)
            plain = self._prediction(base, self._made(token, base, [], PLAIN))
            return Fields(plain.leanings(CANDIDATES, seed)[1])

        return self.cache.get((token, "fields", seed), make, KEPT["fields"])

    def _ab(self, token: str, name: str, base: Base, made: Made, look: Look) -> Float32:
        """Color at the network's resolution; a user clicks more often than the settings change."""

        def make() -> Float32:
            colored = self._colored(token, name, base, made, look)
            return colored.ab(look.temperature, look.saturation)

        return self.cache.get((token, "ab", name, look), make, KEPT["ab"])

    def _view(self, token: str, base: Base, size: int) -> Level:
        """The photo at a preview's size."""
        height, width = fit_within(base.shape, size)

        def make() -> Level:
            pixels = resized(base.photo.pixels, height, width)
            L = lightness(encoded_picture(pixels))
            return Level(pixels, Upsampler(L, base.size), L)

        return self.cache.get((token, "view", height, width), make, KEPT["view"])

    async def _level(self, token: str, scale: int) -> Level:
        """The photo at its own size or reduced, for tiles."""
        upload = self.store.get(token)

        def make() -> Level:
            base = self._base(token, upload.path)
            pixels = self._full(token, upload.path).photo.pixels
            if scale > 1:
                pixels = shrunk(to_uint8(pixels), scale)
            shape = pixels.shape[0], pixels.shape[1]
            return Level(pixels, Upsampler(base.guide, base.size, shape))

        key = token, "level", scale
        return await self._cached(
            key, lambda: self.cache.get(key, make, KEPT["level"]), self.decodes
        )

    def _paint(
        self,
        token: str,
        name: str,
        base: Base,
        made: Made,
        level: Level,
        look: Look,
        box: Box,
    ) -> NDArray[np.uint8]:
        """A rectangle in color: what a rendering of the whole level in 8 bits has there."""
        rows, columns = cut_box(box, level.pixels.shape)

        def fit() -> Float32:
            return level.upsampler.fit(self._ab(token, name, base, made, look))

        key = token, "fitted", name, look, box.scale
        fitted = self.cache.get(key, fit, KEPT["fitted"])
        L = lightness(encoded_picture(level.pixels[rows, columns]))
        part = level.upsampler.columns(columns)
        painted = np.empty((*L.shape, 3), dtype=np.uint8)
        part.paint(np.ascontiguousarray(fitted[..., columns]), L, painted, rows.start)
        return painted

    def _export(self, result: Prediction, look: Look, extension: str) -> Path:
        """A file in the store's folder, which the caller removes."""
        target = self.store.folder() / f"{secrets.token_hex(16)}{extension}"
        photo = result.photo
        channels = 3 if photo.alpha is None else 4
        try:
            # At most about that: how small it becomes is known when it is written.
            self.store.hold(target, photo.width * photo.height * channels * photo.samples.itemsize)
            result.save(target, look.temperature, look.saturation)
            self.store.hold(target, target.stat().st_size)
        except BaseException as error:
            self.store.release(target)
            if not isinstance(error, PhotoError):
                raise
            text = str(error).replace(str(target), f"photo{extension}")
            if error.__cause__ is None:
                raise Refused(422, text) from None
            raise PhotochromError(text) from error  # the disk, not the photo
        return target
