"""Whether a photo is fit for training: readable, large enough, colored, not a duplicate."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from photochrom.color import bins
from photochrom.color.lab import GRAY_AB, is_gray, rgb_to_lab
from photochrom.dataset.decode import open_photo, upright
from photochrom.dataset.store import PhotoStore
from photochrom.errors import ConfigError, DataError

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "KINDS",
    "LARGEST_FILE",
    "Outcome",
    "SAME_ACROSS",
    "SAME_DOWN",
    "SHARES",
    "SMALLEST_SIDE",
    "Settings",
    "difference_hash",
    "examine",
    "examine_loaded",
    "find_duplicates",
    "is_toned",
    "load_photo",
]

SMALLEST_SIDE = 64
"""Photos whose short side is below this (or below `short_side`, if that is less) are too small."""
LARGEST_FILE = 256 << 20
"""Files above this many bytes are not read: each worker holds one in memory."""
SAME_ACROSS = 3
SAME_DOWN = 8
"""Photos whose two difference hashes differ in at most so many bits are the same one.

The first alone takes skies and faces for one another: among 16,958 photos it called 30 the same as
another. The 19 that were (recompressed, brightened, with more contrast) differ in at most 7 bits of
the second, the 11 that were not in 12 to 39.
"""
KINDS = ("unreadable", "too_small", "gray", "toned", "duplicate")
"""Why a photo is dropped, in the order in which it is asked."""

# See is_toned.
_TONED_RMS = 1.7
_TONED_TAIL = 5.0
_TONED_SPREAD = 25.0
_TONED_GROUP = 32

_Box = tuple[float, float, float, float]
SHARES = np.dtype([("bin", "<u2"), ("sum", "<f4")])


@dataclass(frozen=True)
class Settings:
    """Everything but the photos that decides the bytes of the shards.

    Raises
    ------
    ConfigError
        A value is out of range.
    """

    short_side: int = 128
    """Short side of the stored photos, 32..4096 pixels."""
    max_aspect: float = 1.5
    """Longer side over shorter side, 1..16; longer photos are cropped about their center."""
    quality: int = 50
    """Of the WebP, 1..100."""
    shard_size: int = 10_000
    """Photos per shard."""
    seed: int = 0
    """Of the shuffle."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_aspect", float(self.max_aspect))  # as the report stores it
        for name, low, high in (
            ("short_side", 32, 4096),
            ("max_aspect", 1.0, 16.0),
            ("quality", 1, 100),
            ("shard_size", 1, 10_000_000),
            ("seed", 0, 2**63 - 1),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"{name} = {value}: must be from {low} to {high}")


class Outcome(NamedTuple):
    """The outcome for one photo: kept with its data, or dropped with a reason."""

    kind: str  # "kept" or one of KINDS
    reason: str = ""
    hashes: tuple[int, int] = (0, 0)
    webp: bytes = b""
    shares: bytes = b""  # of the prior: _SHARES items, summed over the pixels


def is_toned(lab: NDArray[np.float32]) -> bool:
    """Whether a photo, Lab float32 (H, W, 3), is a tinted gray one: sepia, cyanotype, duotone.

    Ink and toner make ab a function of L, whatever its curve. So the pixels are taken in groups of
    the same L, of each group the quarter that lies smoothest in the picture: a toned photo has one
    color there, up to noise. It counts as toned if the distance to the group's mean is below 1.7
    (root mean square), and below 5 for 99 of 100 pixels, so that a small colored thing in a gray
    scene saves it. Where L spreads by less than 25 (2nd to 98th percentile) the bounds are four
    times as narrow: sky and sand are nearly of one hue too, but a print has blacks and whites.

    Notes
    -----
    At edges the curve is lost: JPEG stores chroma at half the resolution, and making a photo
    smaller averages colors along it. So the quarter has to be smooth.

    Measured: of 195 photos of 128 px tinted in five ways, 95 to 100 % are found; of the same stored
    at twice the size as JPEG of quality 80 and made smaller again, all of the soft tints, 73 % of
    the strong sepias, 88 % of the cyanotypes, 27 % of the duotones. Of 2,922 color photos 26 (1 %)
    count as toned: about a quarter are prints indeed, most others seas and mountains almost without
    color. Wider bounds soon take faces that fill the frame.
    """
    L = lab[..., 0]
    roughness = (_over_3x3(np.maximum, L) - _over_3x3(np.minimum, L)).ravel()
    flat = lab.reshape(-1, 3)
    # By L to a fifth of a unit only: else a flat thing, all its pixels of one L, would fill groups
    # alone.
    blur = np.random.default_rng(0).uniform(-0.2, 0.2, len(flat))
    order = np.argsort(flat[:, 0] + blur, kind="stable")
    wide = min(4 * _TONED_GROUP, len(order))
    groups = order[: len(order) // wide * wide].reshape(-1, wide)
    smoothest = np.argsort(roughness[groups], axis=1, kind="stable")[:, : max(2, wide // 4)]
    ab = flat[np.take_along_axis(groups, smoothest, axis=1), 1:]
    squared = ((ab - ab.mean(axis=1, keepdims=True)) ** 2).sum(axis=2)
    rms = np.sqrt(squared.mean() * ab.shape[1] / (ab.shape[1] - 1))
    tail = np.sqrt(np.percentile(squared, 99))
    low, high = np.percentile(L, (2, 98))
    narrow = 0.25 if high - low < _TONED_SPREAD else 1.0
    return bool(rms < narrow * _TONED_RMS and tail < narrow * _TONED_TAIL)


def _over_3x3(extreme: np.ufunc, values: NDArray[np.float32]) -> NDArray[np.float32]:
    padded = np.pad(values, 1, mode="edge")
    rows = extreme(extreme(padded[:-2], padded[1:-1]), padded[2:])
    found: NDArray[np.float32] = extreme(extreme(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
    return found


def difference_hash(rgb: NDArray[np.uint8]) -> tuple[int, int]:
    """Two 64-bit difference hashes of a photo, uint8 (H, W, 3).

    The bits say where a gray miniature grows brighter, in the first from left to right, in the
    second from top to bottom. They survive scaling, recompression and changes of brightness.

    Source: N. Krawetz, "Kind of Like That", 2013 (the first of the two).
    """
    from PIL import Image

    gray = Image.fromarray(rgb).convert("L")
    across = np.asarray(gray.resize((9, 8), Image.Resampling.BOX))
    down = np.asarray(gray.resize((8, 9), Image.Resampling.BOX))
    return _bits(across[:, 1:] > across[:, :-1]), _bits(down[1:] > down[:-1])


def _bits(values: NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(values).tobytes(), "big")


def examine(data: bytes, settings: Settings) -> Outcome:
    """Look at one encoded photo: the resized WebP of it, or why it is dropped."""
    # Pillow warns of broken metadata and of sizes up to twice its limit; neither loses the photo.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with open_photo(data) as image:
                size = image.size
                smallest = min(SMALLEST_SIDE, settings.short_side)
                if min(size) < smallest:
                    return Outcome(
                        "too_small", f"{size[0]} x {size[1]}: a side is below {smallest} pixels"
                    )
                stored_right = _is_stored_right(image, settings)
                rgb = _resized(image, settings)
        except Exception as error:  # hostile bytes make Pillow's decoders raise nearly anything
            # Without "<BytesIO object at 0x7f...>": the same photo, the same words.
            reason = re.sub(r"\s*<[^>]*>", "", str(error)) or type(error).__name__
            return Outcome("unreadable", reason)
    lab = rgb_to_lab(rgb)
    if is_gray(lab):
        return Outcome("gray", f"no |a| or |b| above {GRAY_AB:g}")
    if is_toned(lab):
        return Outcome("toned", "a toned gray photo: only one color at each lightness")
    webp = data if stored_right else _encoded(rgb, settings.quality)
    return Outcome("kept", hashes=difference_hash(rgb), webp=webp, shares=_shares(webp))


def _target(size: tuple[int, int], settings: Settings) -> tuple[tuple[int, int], _Box]:
    """Size of the stored photo, and the box of the original (left, top, right, bottom) it shows."""
    short = min(size)
    width, height = (min(side, short * settings.max_aspect) for side in size)
    if short > settings.short_side:
        scale = settings.short_side / short
        most = int(settings.short_side * settings.max_aspect)
        stored = (min(most, round(width * scale)), min(most, round(height * scale)))
        left, top = (size[0] - width) / 2, (size[1] - height) / 2
    else:  # kept as large as it is: cut at whole pixels, so that nothing is resampled
        stored = (int(width), int(height))
        width, height = stored
        left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return stored, (left, top, left + width, top + height)


def _is_stored_right(image: Image.Image, settings: Settings) -> bool:
    """Whether a file can go into the shard as it is; coding it again would only cost quality."""
    return (
        image.format == "WEBP"
        and image.mode == "RGB"
        and not getattr(image, "is_animated", False)
        and not {"exif", "icc_profile", "xmp"} & image.info.keys()
        and _target(image.size, settings)[0] == image.size
    )


def _resized(image: Image.Image, settings: Settings) -> NDArray[np.uint8]:
    from PIL import Image

    # A JPEG decodes at 1/2, 1/4 or 1/8 for a fraction of the time. Stay at twice the size or more:
    # the filter below then does the last halving.
    image.draft(None, (2 * settings.short_side, 2 * settings.short_side))
    profile = image.info.get("icc_profile")
    image = _flattened(upright(image))
    size, box = _target(image.size, settings)
    if size != image.size:
        # Hamming: no negative lobes, so edges get no halo of a color that is not in the photo (as
        # with Lanczos), and unlike a box no jagged edges at fractional scales. The reducing gap
        # takes whole means of pixels first while they are more than three times too many.
        image = image.resize(size, Image.Resampling.HAMMING, box=box, reducing_gap=3.0)
    if profile:
        image = _in_srgb(image, profile)
    return np.asarray(image.convert("RGB"))


def _flattened(image: Image.Image) -> Image.Image:
    """The image in a mode that can be resampled, without alpha: transparency lies on white."""
    from PIL import Image

    if image.mode in ("RGB", "L", "CMYK"):
        return image
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    transform = _transform(profile, image.mode)
    if transform is None:
        return image
    from PIL import ImageCms

    return ImageCms.applyTransform(image, transform) or image


@lru_cache(maxsize=32)
def _transform(profile: bytes, mode: str) -> Any:
    """Transform to sRGB, None for a profile that is broken or made for other channels."""
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None


def _encoded(rgb: NDArray[np.uint8], quality: int) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "WEBP", quality=quality)
    return file.getvalue()


def _shares(webp: bytes) -> bytes:
    """The photo's part of the prior, from what training will see: the colors after compression."""
    with open_photo(webp) as image:
        ab = rgb_to_lab(np.asarray(image.convert("RGB")))[..., 1:].reshape(-1, 2)
    counts = np.bincount(bins.cell_of(ab))
    (seen,) = counts.nonzero()
    indices, weights = bins.soft_table()
    total = np.bincount(indices[seen].ravel(), (weights[seen] * counts[seen, None]).ravel(), bins.Q)
    (used,) = total.nonzero()
    shares = np.empty(len(used), dtype=SHARES)
    shares["bin"], shares["sum"] = used, total[used]
    return shares.tobytes()


def load_photo(store: PhotoStore, index: int) -> bytes | Outcome:
    """The bytes of a photo; its outcome if they cannot be had."""
    if store.size(index) > LARGEST_FILE:
        return Outcome("unreadable", f"the file is larger than {LARGEST_FILE >> 20} MiB")
    try:
        return store.read(index)
    except DataError as error:
        return Outcome("unreadable", str(error))


def examine_loaded(settings: Settings, photo: tuple[int, bytes | Outcome]) -> Outcome:
    """The outcome of a photo from `load_photo`, with its number."""
    _, data = photo
    return data if isinstance(data, Outcome) else examine(data, settings)


def find_duplicates(hashes: Sequence[tuple[int, int] | None]) -> dict[int, int]:
    """Of each photo that repeats an earlier one: which one that is.

    Parameters
    ----------
    hashes : of `difference_hash`, in order; None for photos that do not take part

    Returns
    -------
    {index of a duplicate: index of the first, kept one}

    Notes
    -----
    First hashes that differ in three bits agree in at least one of four bands of 16 bits: only
    photos that share a band are compared.
    """
    width = 64 // (SAME_ACROSS + 1)
    bands: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    found: dict[int, int] = {}
    for index, pair in enumerate(hashes):
        if pair is None:
            continue
        across, down = pair
        places = [(shift, across >> shift & (1 << width) - 1) for shift in range(0, 64, width)]
        same = [
            first
            for place in places
            for first, other_across, other_down in bands.get(place, ())
            if (across ^ other_across).bit_count() <= SAME_ACROSS
            and (down ^ other_down).bit_count() <= SAME_DOWN
        ]
        if same:
            found[index] = min(same)
            continue
        for place in places:
            bands.setdefault(place, []).append((index, across, down))
    return found
