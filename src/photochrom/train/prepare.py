"""Folders of photos to training shards: resize, sort out, shuffle, write the prior beside them.

Two passes. The first looks at each photo alone, in parallel, and notes what came of it in a journal
(`.work/` in the output), in the order of the input: it takes the time, and a kill loses only what
was in flight. The second drops duplicates, shuffles and writes the shards from the journal, which
takes seconds and is not gone on with but done again. What comes out depends neither on the number
of workers nor on interruptions.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import re
import shutil
import unicodedata
import warnings
import zlib
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from photochrom import bins
from photochrom.color import rgb_to_lab
from photochrom.errors import ConfigError, DataError
from photochrom.pool import Died, cpus, spread
from photochrom.train.shards import (
    JOURNAL,
    REPORT,
    PhotoStore,
    open_photo,
    require_pillow,
    upright,
    write_shard,
)

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["PrepareReport", "difference_hash", "is_gray", "is_toned", "prepare"]

SMALLEST_SIDE = 64
"""Photos whose short side is below this (or below `short_side`, if that is less) are too small."""
LARGEST_FILE = 256 << 20
"""Files above this many bytes are not read: each worker holds one in memory."""
GRAY_AB = 5.0
"""A photo whose a and b all lie within this of 0 is gray."""
SAME_ACROSS = 3
SAME_DOWN = 8
"""Photos whose two difference hashes differ in at most so many bits are the same one.

The first alone takes skies and faces for one another: among 16,958 photos it called 30 the same as
another. The 19 that were (recompressed, brightened, with more contrast) differ in at most 7 bits of
the second, the 11 that were not in 12 to 39.
"""

PRIOR = "prior.npy"
DROPPED = "dropped.jsonl"
KINDS = ("unreadable", "too_small", "gray", "toned", "duplicate")
"""Why a photo is dropped, in the order in which it is asked."""

# See is_toned.
_TONED_RMS = 1.7
_TONED_TAIL = 5.0
_TONED_SPREAD = 25.0
_TONED_GROUP = 32

_Box = tuple[float, float, float, float]

_FORMAT = 1  # of the journal; another number, and older work is not gone on with
_SHARES = np.dtype([("bin", "<u2"), ("sum", "<f4")])


# --- settings and report --------------------------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    """What decides the bytes of the shards."""

    short_side: int  # of the stored photos, pixels
    max_aspect: float  # longer photos lose their ends
    quality: int  # WebP, 1..100
    shard_size: int  # photos a shard
    seed: int  # of the shuffle

    def check(self) -> None:
        """Raise ConfigError for a value out of range."""
        for name, low, high in (
            ("short_side", 32, 4096),
            ("max_aspect", 1.0, 16.0),
            ("quality", 1, 100),
            ("shard_size", 1, 10_000_000),
            ("seed", 0, 2**63 - 1),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"{name} = {value}: must lie in {low}..{high}")


@dataclass(frozen=True)
class PrepareReport:
    """What `prepare` made; also written to report.json in the output."""

    output: Path
    settings: Settings
    inputs: str  # fingerprint of the input photos
    found: int
    kept: int
    dropped: dict[str, int]  # by kind; each in dropped.jsonl with its reason
    shards: int
    subjects: dict[str, int]  # kept photos by subject, most first
    reused: bool = field(default=False, compare=False)  # it was all there already

    def summary(self) -> str:
        """The report for people, a few lines."""
        dropped = ", ".join(
            f"{count:,} {kind.replace('_', ' ')}" for kind, count in self.dropped.items() if count
        )
        subjects = ", ".join(f"{name} {count:,}" for name, count in list(self.subjects.items())[:8])
        more = len(self.subjects) - 8
        lines = [
            f"{self.output}: {self.kept:,} of {self.found:,} photos in {self.shards} "
            f"shard{'s' if self.shards > 1 else ''}" + (" (was ready)" if self.reused else ""),
            f"  dropped: {dropped or 'none'}" + (f"; see {DROPPED}" if dropped else ""),
            f"  subjects: {subjects}" + (f" and {more} more" if more > 0 else ""),
        ]
        return "\n".join(lines)

    def _to_json(self) -> str:
        fields = asdict(self)
        del fields["output"], fields["reused"]  # neither says anything about the content
        return json.dumps({"format": _FORMAT, **fields}, indent=2) + "\n"

    @classmethod
    def _load(cls, output: Path) -> PrepareReport:
        path = output / REPORT
        try:
            fields = json.loads(path.read_bytes())
            settings = Settings(**fields.pop("settings"))
            if fields.pop("format") != _FORMAT:
                raise ValueError("written by another version")
            return cls(output=output, settings=settings, reused=True, **fields)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(
                f"{path}: not a report of photochrom prepare ({error}): use another output folder, "
                "or --force to start anew"
            ) from error


# --- one photo ------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """What came of one photo: kept with its data, or dropped with a reason."""

    kind: str  # "kept" or one of KINDS
    reason: str = ""
    hashes: tuple[int, int] = (0, 0)
    webp: bytes = b""
    shares: bytes = b""  # of the prior: _SHARES items, summed over the pixels


def is_gray(lab: NDArray[np.float32]) -> bool:
    """Whether a photo, Lab float32 (H, W, 3), has no color: neither a nor b goes beyond 5.

    Source: the released training code of Zhang et al. 2016.
    """
    return bool(np.abs(lab[..., 1:]).max() <= GRAY_AB)


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
    smaller averages colors along it. Hence the smooth quarter.

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
                    return Outcome("too_small", f"{size[0]} x {size[1]}: a side below {smallest}")
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
        return Outcome("toned", "a gray photo in a tint: one color at each lightness")
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
    shares = np.empty(len(used), dtype=_SHARES)
    shares["bin"], shares["sum"] = used, total[used]
    return shares.tobytes()


# --- many photos ----------------------------------------------------------------------------------


def _outcomes(
    store: PhotoStore, start: int, settings: Settings, workers: int
) -> Generator[Outcome]:
    """Outcomes of the photos from `start` on, in order, made by that many processes."""
    work = partial(_examine, settings)
    photos = ((index, _load(store, index)) for index in range(start, len(store)))
    if workers == 1:
        yield from map(work, photos)
        return
    with closing(spread(work, photos, workers, in_order=True)) as results:
        for (index, _), outcome in results:
            if isinstance(outcome, Died):
                raise DataError(
                    f"{store.name(index)}: a worker died at this photo (exit code "
                    f"{outcome.exit_code}); out of memory? Call again with fewer workers: what is "
                    "done is kept"
                )
            yield outcome


def _load(store: PhotoStore, index: int) -> bytes | Outcome:
    if store.size(index) > LARGEST_FILE:
        return Outcome("unreadable", f"file larger than {LARGEST_FILE >> 20} MiB")
    try:
        return store.read(index)
    except DataError as error:
        return Outcome("unreadable", str(error))


def _examine(settings: Settings, photo: tuple[int, bytes | Outcome]) -> Outcome:
    _, data = photo
    return data if isinstance(data, Outcome) else examine(data, settings)


# --- what is done so far --------------------------------------------------------------------------


class _Record(NamedTuple):
    """One line of the journal: the outcome of one photo, its data in the payload file."""

    kind: str
    reason: str
    hashes: tuple[int, int]
    offset: int  # of the WebP in the payload file
    webp: int  # its bytes
    shares: int  # bytes of the shares, right behind it
    crc: int  # of both

    def line(self) -> bytes:
        # No offset: it follows from the lines before.
        fields = self._asdict()
        del fields["offset"]
        return json.dumps(fields).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes, offset: int) -> _Record | None:
        """The record of a line, None if the line is not whole."""
        fields = _parse(line)
        try:
            return None if fields is None else cls(offset=offset, **fields)
        except TypeError:
            return None


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        fields = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None


class _Journal:
    """Outcomes in the order of the photos, on disk.

    `journal.jsonl` has one line for all (whose work this is), then one a photo; `payload.bin` the
    data of the kept ones. Payload goes first, its checksum stands in the line: whatever a kill or a
    crash leaves behind, the longest intact beginning is found again.
    """

    def __init__(self, output: Path, identity: dict[str, Any]) -> None:
        path = output / JOURNAL
        path.parent.mkdir(parents=True, exist_ok=True)
        self.records: list[_Record] = []
        self._end = 0
        # In append mode, so that a truncation needs no seek.
        self._lines = path.open("ab+")
        try:
            fcntl.flock(self._lines, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lines.close()
            raise ConfigError(f"{output}: another photochrom prepare is at work there") from error
        self._payload = path.with_name("payload.bin").open("ab+")
        try:
            self._recover(output, identity)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> _Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._payload.close()
        self._lines.close()

    def _recover(self, output: Path, identity: dict[str, Any]) -> None:
        self._lines.seek(0)
        self._payload.seek(0)
        head = self._lines.readline()
        intact = 0
        theirs = _parse(head)
        if theirs is not None:
            _refuse_other_work(output, theirs, identity)
            intact = len(head)
            for line in self._lines:
                record = _Record.parse(line, self._end)
                if record is None:
                    break
                data = self._payload.read(record.webp + record.shares)
                if zlib.crc32(data) != record.crc:
                    break
                self._add(record)
                intact += len(line)
        self._lines.truncate(intact)
        self._payload.truncate(self._end)
        if not intact:
            self._lines.write(json.dumps(identity).encode() + b"\n")
            self._lines.flush()

    def _add(self, record: _Record) -> None:
        self.records.append(record)
        self._end += record.webp + record.shares

    def append(self, outcome: Outcome) -> None:
        data = outcome.webp + outcome.shares
        record = _Record(
            outcome.kind,
            outcome.reason,
            outcome.hashes,
            self._end,
            len(outcome.webp),
            len(outcome.shares),
            zlib.crc32(data),
        )
        self._payload.write(data)
        self._payload.flush()
        self._lines.write(record.line())
        self._lines.flush()
        self._add(record)

    def payload(self, index: int) -> tuple[bytes, NDArray[np.void]]:
        """WebP and shares of a kept photo."""
        record = self.records[index]
        data = os.pread(self._payload.fileno(), record.webp + record.shares, record.offset)
        return data[: record.webp], np.frombuffer(data[record.webp :], dtype=_SHARES)


def _refuse_other_work(output: Path, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    """Raise ConfigError, naming the difference, if the output was begun for another call."""
    if theirs == ours:
        return
    was, now = theirs.get("settings", {}), ours["settings"]
    changed = [f"{k} was {was.get(k)}, is {v}" for k, v in now.items() if was.get(k) != v]
    if theirs.get("inputs") != ours["inputs"]:
        changed.append("the photos are others")
    raise ConfigError(
        f"{output}: holds the work of another call ({'; '.join(changed) or 'another version'}): "
        "use another output folder, or --force to start anew"
    )


# --- the shards -----------------------------------------------------------------------------------


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


def subject_of(key: str, in_shard: bool) -> str:
    """Subject of a photo: its top folder; for a key of a shard, NNNNNN-SUBJECT; else "photo"."""
    top, *below = PurePosixPath(key).parts
    numbered = re.fullmatch(r"\d+-(.+)", key) if in_shard else None
    name = top if below else numbered[1] if numbered else ""
    # No dot and no slash: WebDataset ends the key at the first, and takes the second for a folder.
    name = re.sub(r"[^\w]+", "-", unicodedata.normalize("NFC", name)).strip("-").lower()
    return name[:48].rstrip("-") or "photo"


def _write(
    output: Path, store: PhotoStore, journal: _Journal, settings: Settings, inputs: str
) -> PrepareReport:
    records = journal.records
    first_of = find_duplicates([r.hashes if r.kind == "kept" else None for r in records])
    kept = [i for i, r in enumerate(records) if r.kind == "kept" and i not in first_of]
    counts = Counter("duplicate" if i in first_of else r.kind for i, r in enumerate(records))
    dropped = {kind: counts[kind] for kind in KINDS}
    if not kept:
        raise DataError(
            f"{output}: no photo is left of {len(records)}: "
            + ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in dropped.items() if n)
        )
    done = output / JOURNAL.split("/")[0] / "done"
    shutil.rmtree(done, ignore_errors=True)
    done.mkdir()

    order = np.random.default_rng(settings.seed).permutation(len(kept))
    prior = np.zeros(bins.Q)
    subjects: Counter[str] = Counter()

    def samples(numbers: range) -> Iterator[tuple[str, bytes]]:
        for number in numbers:
            index = kept[order[number]]
            subject = subject_of(store.key(index), store.in_shard(index))
            webp, shares = journal.payload(index)
            prior[shares["bin"]] += shares["sum"]
            subjects[subject] += 1
            yield f"{number:06d}-{subject}.webp", webp

    starts = range(0, len(kept), settings.shard_size)
    for shard, start in enumerate(starts):
        numbers = range(start, min(start + settings.shard_size, len(kept)))
        write_shard(done / f"shard-{shard:05d}.tar", samples(numbers))
    np.save(done / PRIOR, (prior / prior.sum()).astype(np.float32))
    with (done / DROPPED).open("w", encoding="utf-8") as file:
        for i, record in enumerate(records):
            if record.kind != "kept" or i in first_of:
                again = i in first_of
                line = {
                    "photo": store.name(i),
                    "kind": "duplicate" if again else record.kind,
                    "reason": f"the same as {store.name(first_of[i])}" if again else record.reason,
                }
                file.write(json.dumps(line) + "\n")

    report = PrepareReport(
        output=output,
        settings=settings,
        inputs=inputs,
        found=len(records),
        kept=len(kept),
        dropped=dropped,
        shards=len(starts),
        subjects=dict(sorted(subjects.items(), key=lambda item: (-item[1], item[0]))),
    )
    (done / REPORT).write_text(report._to_json(), encoding="utf-8")
    # The report goes last: while it is missing, the output is not finished.
    for path in sorted(done.iterdir(), key=lambda path: (path.name == REPORT, path.name)):
        os.replace(path, output / path.name)
    return report


def _ours(output: Path) -> list[Path]:
    """The files in a folder that `prepare` would write."""
    named = (output / name for name in (REPORT, PRIOR, DROPPED))  # the report first, see _write
    return [path for path in named if path.exists()] + sorted(output.glob("shard-*.tar"))


def prepare(
    photos: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    short_side: int = 128,
    max_aspect: float = 1.5,
    quality: int = 50,
    shard_size: int = 10_000,
    seed: int = 0,
    workers: int | None = None,
    progress: bool = True,
    force: bool = False,
) -> PrepareReport:
    """Make training shards of photos: `shard-00000.tar`..., `prior.npy`, `report.json`.

    Unreadable, too small, gray, toned and duplicate photos are dropped, counted in the report and
    listed with the reason in `dropped.jsonl`. The others are turned upright, brought to sRGB,
    cropped about their center to `max_aspect`, made smaller (never larger) to `short_side` and
    stored as WebP, shuffled, under keys NNNNNN-SUBJECT; the subject is the top folder that a photo
    lay in.

    A call that was interrupted goes on where it stopped when it is made again. A finished output
    is left as it is.

    Parameters
    ----------
    photos : folders of photos, taken with all below them, folders of shards, or shards
    output : folder for the shards, made if missing
    short_side : pixels, 32..4096
    max_aspect : longer side over shorter side, at least 1
    quality : of the WebP, 1..100
    shard_size : photos a shard
    seed : of the shuffle
    workers : processes that read photos; None for one a CPU, 1 for none beside this one
    progress : show a progress bar on stderr
    force : throw away what another call left in the output

    Returns
    -------
    The report; its `summary()` is for people.

    Raises
    ------
    ConfigError
        A setting is out of range, or the output holds other work.
    DataError
        An input is missing or damaged, no photo is left, or the output cannot be written.
    DependencyError
        Pillow is not installed.
    """
    settings = Settings(short_side, float(max_aspect), quality, shard_size, seed)
    settings.check()
    if workers is None:
        workers = cpus()
    if workers < 1:
        raise ConfigError(f"workers = {workers}: must be at least 1")
    require_pillow()
    target = Path(output)
    sources = [photos] if isinstance(photos, str | os.PathLike) else list(photos)
    if target.resolve() in (Path(source).resolve() for source in sources):
        raise ConfigError(f"{target}: is an input too: choose another output folder")
    store = PhotoStore(sources)
    inputs = store.fingerprint()
    identity = {"format": _FORMAT, "settings": asdict(settings), "inputs": inputs}
    work = (target / JOURNAL).parent
    try:
        if force:
            for path in _ours(target):
                path.unlink()
            shutil.rmtree(work, ignore_errors=True)
        if (target / REPORT).exists():
            report = PrepareReport._load(target)
            was = {"settings": asdict(report.settings), "inputs": report.inputs}
            _refuse_other_work(target, {"format": _FORMAT, **was}, identity)
            shutil.rmtree(work, ignore_errors=True)  # if a kill came right before this line
            return report
        if not (target / JOURNAL).exists() and (found := _ours(target)):
            raise ConfigError(
                f"{found[0]}: not from photochrom prepare: use another output folder, or --force "
                "to replace it"
            )
        with _Journal(target, identity) as journal:
            _examine_all(store, journal, settings, workers, progress)
            report = _write(target, store, journal, settings, inputs)
            shutil.rmtree(work)
            return report
    except OSError as error:
        raise DataError(
            f"{error.filename or target}: {error.strerror}: call again when that is mended; what "
            "is done is kept"
        ) from error


def _examine_all(
    store: PhotoStore, journal: _Journal, settings: Settings, workers: int, progress: bool
) -> None:
    start = len(journal.records)
    counts = Counter(record.kind for record in journal.records)
    with (
        tqdm(total=len(store), initial=start, unit="photo", disable=not progress) as bar,
        closing(_outcomes(store, start, settings, workers)) as outcomes,
    ):
        for outcome in outcomes:
            journal.append(outcome)
            counts[outcome.kind] += 1
            if outcome.kind != "kept":
                dropped = {kind: counts[kind] for kind in KINDS if counts[kind]}
                bar.set_postfix(dropped, refresh=False)
            bar.update()
