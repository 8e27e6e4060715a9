"""What the studio does with photos: receive, color, show, correct, hand out.

::

    a file ──▶ Base ──▶ logits ──▶ preview, tile, palette, candidates, uncertainty, download
       decoded once     the network, once for each set of hints

The work runs in four lanes. `decodes` and `networks` take one photo at a time; `renders` answers
from what is there, so that a slider never waits for a network; `exports` writes whole files.
Between them only the `Cache` is shared, and all that is in it can be computed again.
"""

from __future__ import annotations

import contextlib
import math
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from photochrom import bins, color
from photochrom.colorizer import Colorizer, Hint, Prediction, lightness
from photochrom.errors import ConfigError, PhotochromError, PhotoError
from photochrom.hints import Anchors
from photochrom.image import (
    Photo,
    decode_photo,
    photo_format,
    photo_size,
    resized,
    shrunk,
    to_jpeg,
    to_png,
    to_uint8,
)
from photochrom.models import STRIDE
from photochrom.photo import Held
from photochrom.pool import cpus
from photochrom.train.prepare import is_gray
from photochrom.upsample import Upsampler, area_shrink, box_mean, guide_size
from photochrom.web.lane import Lane
from photochrom.web.store import PLAIN, Cache, Key, Store, Upload, prediction_name

__all__ = ["CANDIDATES", "TILE", "VIEW", "Box", "Limits", "Look", "Refused", "Studio"]

Float32 = NDArray[np.float32]
T = TypeVar("T")

VIEW = 1600
"""Longest side of a preview, pixels: more than that is a matter of tiles."""
TILE = 1024
"""Longest side of a tile, pixels."""
CANDIDATES = 6
"""Alternatives that there are for each seed."""
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

KEPT = {"made": 48, "leanings": 4, "fields": 64, "view": 4, "level": 2, "fitted": 2, "ab": 8}
"""Of one photo at most so many of a kind, so that nobody who plays pushes out all others: sets of
hints, candidates of a seed with hints, seeds, sizes of previews, scales of tiles, settings of
tiles, small ab."""
FORMATS = {
    ".jpg": "JPEG",
    ".png": "PNG",
    ".tif": "TIFF",
    ".webp": "WebP",
    ".avif": "AVIF",
    ".heic": "HEIC",
}
"""Formats that are taken and handed out, by their extension."""


@dataclass(frozen=True)
class Limits:
    """What strangers, and friends with many photos, can ask for."""

    bytes: int = 200_000_000  # of a file
    pixels: int = 100_000_000  # of a photo
    photos: int = 100  # that are kept; the least recently used makes room
    hints: int = 200  # of one prediction
    memory: int = 1 << 30  # bytes of all that is kept in memory
    disk: int = 4 << 30  # bytes of all files: kept, coming in and going out
    memory_age: float = 1800.0  # seconds that what is not used stays in memory
    age: float = 24 * 3600.0  # seconds that a photo which is not used is kept
    seconds: float = 120.0  # that a request may take once its body is here
    silence: float = 15.0  # seconds between two pieces of a body, or of a file that is read
    grace: float = 30.0  # seconds after which a body must have come at `rate`
    rate: float = 1000.0  # bytes a second, on the average since its beginning
    patience: float = 60.0  # seconds at whose end a body must be here, and more for a long one:
    pace: float = 50_000.0  # a second for so many bytes of it
    uploads: int = 64  # that come in at once
    decodes: int = 128  # photos that wait to be decoded
    networks: int = 128  # photos and clicks that wait for the network
    renders: int = 512  # pictures that wait
    exports: int = 32  # whole files that wait

    @classmethod
    def of(cls, **values: Any) -> Limits:
        """Limits from options.

        Raises
        ------
        ConfigError
            One that is not above 0.
        """
        for name, value in values.items():
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"the limit of {name} must be above 0")
        return cls(**values)


class Refused(Exception):
    """A photo that is not taken: with the HTTP status that says why, and the words."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Look:
    """The settings of a rendering that do not need the network."""

    temperature: float = bins.TEMPERATURE
    saturation: float = 1.0
    candidate: int | None = None  # 0..CANDIDATES - 1; None for the likeliest coloring
    seed: int = 0  # of the candidates


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the photo, and by how much it is reduced."""

    x: int
    y: int
    width: int
    height: int
    scale: int = 1


# --- what is cached -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Base:
    """What is kept of a photo to answer without decoding it again."""

    shape: tuple[int, int]  # (height, width) of the photo
    small: Float32  # L at the size of the network's frame
    guide: Float32  # L at the size at which the upsampler looks at it
    photo: Photo  # reduced to VIEW, 8 bits, without alpha
    L: Float32  # of that

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of the logits."""
        return self.small.shape[0] // STRIDE, self.small.shape[1] // STRIDE

    @property
    def nbytes(self) -> int:
        """Of memory."""
        arrays = (self.small, self.guide, self.photo.pixels, self.L)
        return sum(array.nbytes for array in arrays)


@dataclass(frozen=True, eq=False)
class Full:
    """A photo with all its pixels in memory."""

    photo: Photo
    nbytes: int  # of memory

    @classmethod
    def of(cls, photo: Photo) -> Full:
        """All of it; PhotoError where a large one, which is decoded only now, is damaged."""
        alpha = photo.alpha
        return cls(photo, int(photo.pixels.nbytes) + (0 if alpha is None else int(alpha.nbytes)))


@dataclass(frozen=True, eq=False)
class Level:
    """A photo at one size, with the upsampler for it; at preview sizes with its L."""

    pixels: NDArray[Any]
    upsampler: Upsampler
    L: Float32 | None = None

    @property
    def nbytes(self) -> int:
        """Of memory, about."""
        h, w = self.upsampler.size
        width = self.upsampler.shape[1]
        planes = 4 * (2 * h * width + 2 * 27 * h * w)
        return self.pixels.nbytes + planes + (0 if self.L is None else self.L.nbytes)


@dataclass(frozen=True, eq=False)
class Made:
    """What the network made of a photo and hints; see `Prediction`."""

    logits: Float32
    anchors: Anchors | None
    fields: Float32 | None = None  # of the candidates that are asked for; not cached with it

    @property
    def nbytes(self) -> int:
        """Of memory."""
        return self.logits.nbytes + (0 if self.anchors is None else self.anchors.spread.nbytes)


@dataclass(frozen=True, eq=False)
class Leanings:
    """What the candidates of one seed are made of; see `Prediction.leanings`."""

    logits: Float32
    fields: Float32

    @property
    def nbytes(self) -> int:
        """Of memory."""
        return self.logits.nbytes + self.fields.nbytes


@dataclass(frozen=True, eq=False)
class Fields:
    """What makes the candidates of one seed differ, the same with any hints of a photo."""

    fields: Float32

    @property
    def nbytes(self) -> int:
        """Of memory."""
        return self.fields.nbytes


# --- the studio -----------------------------------------------------------------------------------


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
                photo=_picture(level.pixels),
                L=level.L,
                upsampler=level.upsampler,
                threads=1 if self.renders.crowded else 0,
            )
            return to_jpeg(shown.render(look.temperature, look.saturation), QUALITY)

        return await self.renders.run(work)

    async def tile(self, token: str, name: str, look: Look, box: Box) -> bytes:
        """A rectangle of the colored photo as a JPEG; see `_cut` for its geometry."""
        base, made = await self._ready(token, name, look)
        level = await self._level(token, box.scale)

        def work() -> bytes:
            return to_jpeg(self._paint(token, name, base, made, level, look, box), QUALITY)

        return await self.renders.run(work)

    async def original(self, token: str, size: int) -> bytes:
        """The photo as it came, as a JPEG of the same geometry as `preview`."""
        base = await self._base_of(token)

        def work() -> bytes:
            return to_jpeg(resized(base.photo.pixels, *_fit(base.shape, size)), QUALITY)

        return await self.renders.run(work)

    async def original_tile(self, token: str, box: Box) -> bytes:
        """A rectangle of the photo as it came, as a JPEG of the same geometry as `tile`."""
        level = await self._level(token, box.scale)

        def work() -> bytes:
            rows, columns = _cut(box, level.pixels.shape)
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
                mean = color.fit_gamut(L, ab, np.uint8).mean(axis=(0, 1))
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
                "current": color.fit_gamut(np.float32(L), ab, np.uint8).tolist(),
            }

        return await self.renders.run(work)

    async def uncertainty(self, token: str, name: str, size: int) -> bytes:
        """The entropy of each pixel as a gray PNG of a preview's size: white is `ENTROPY` bits."""
        base, made = await self._ready(token, name)

        def work() -> bytes:
            bits = self._prediction(base, made).uncertainty()
            levels = area_shrink(bits, _fit(base.shape, size)) * np.float32(255 / ENTROPY)
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
            with _told():
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
        with _told():
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
        colored = view.shape[2] == 3 and not is_gray(color.rgb_to_lab(view))
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
        with _told():
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
            view = _picture(resized(to_uint8(photo.pixels), *_fit(shape, VIEW)))
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
        height, width = _fit(base.shape, size)

        def make() -> Level:
            pixels = resized(base.photo.pixels, height, width)
            L = lightness(_picture(pixels))
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
        rows, columns = _cut(box, level.pixels.shape)

        def fit() -> Float32:
            return level.upsampler.fit(self._ab(token, name, base, made, look))

        key = token, "fitted", name, look, box.scale
        fitted = self.cache.get(key, fit, KEPT["fitted"])
        L = lightness(_picture(level.pixels[rows, columns]))
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


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """A photo that cannot be used is its sender's: a large one shows it when it is first read."""
    try:
        yield
    except PhotoError as error:
        raise Refused(422, str(error)) from None


def _picture(pixels: NDArray[Any]) -> Photo:
    return Photo(Held(pixels, None), "picture", "array")


def _fit(shape: tuple[int, int], size: int) -> tuple[int, int]:
    """(height, width) of a preview: the photo's proportions, nothing enlarged."""
    scale = min(1.0, min(size, VIEW) / max(shape))
    height, width = (max(1, round(side * scale)) for side in shape)
    return height, width


def _cut(box: Box, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The rows and columns of a level that a box covers, cut off at the photo's edges.

    Pixel (column, row) of a level with scale s is the mean of the photo's pixels from (s column,
    s row) to (s column + s - 1, s row + s - 1); a pixel that is covered in part counts.

    Raises
    ------
    ConfigError
        Nothing is covered, or more than TILE x TILE pixels.
    """
    parts = []
    for start, length, side in ((box.y, box.height, shape[0]), (box.x, box.width, shape[1])):
        first, stop = start // box.scale, min(-(-(start + length) // box.scale), side)
        if not 0 <= first < stop:
            raise ConfigError("the tile lies outside the photo")
        if stop - first > TILE:
            raise ConfigError(f"a tile has at most {TILE} x {TILE} pixels; ask for several")
        parts.append(slice(first, stop))
    return parts[0], parts[1]
