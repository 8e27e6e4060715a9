"""One frame of each shot, to be colored by hand, and its colors spread over the shot.

A still says which color each place of one frame should have. The difference from the color that the
shot has there is carried along the motion, to the beginning and to the end of the shot, as far as
the match is certain. Elsewhere it is found by features: a place takes the difference of the places
in the still that have a similar L and a similar distribution over colors. So a thing that was
hidden, or appears later, is colored too, and nothing else is.
"""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photochrom.arrays import Float32
from photochrom.color import bins
from photochrom.color.lab import rgb_to_lab
from photochrom.color.resize import area_shrink
from photochrom.colorizer import Colorizer
from photochrom.errors import FilmError, PhotochromError
from photochrom.files import write_whole
from photochrom.hints import Hint
from photochrom.video.eye import Eye
from photochrom.video.libraries import cv2
from photochrom.video.motion import Motion, Seen, carry
from photochrom.video.shots import correlation
from photochrom.video.source import Facts, Film
from photochrom.video.stretch import Pace, Stretch, stretches

__all__ = ["Stills", "representative", "spread", "write_stills"]

_NAME = re.compile(r"shot-(\d+)-(\d+)(?:\.color)?\.(\w+)")
_PICTURES = {"png", "jpg", "jpeg", "tif", "tiff", "webp", "bmp"}
_SESSION = "photochrom"
LIKENESS = 8
"""Power of the likeness of distributions from which places are taken for the same thing."""
LIGHTNESS = 15.0
"""Standard deviation over L."""
ENOUGH = 0.5
"""Likeness, summed over the places of a still, from which on it says what a place gets."""
_SAMPLES = 24  # of the still, along its short side


def write_stills(
    source: str,
    folder: str,
    colorizer: Colorizer,
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Write the most typical frame of each shot, in gray, as PNG.

    Parameters
    ----------
    source : path of the film
    folder : where to write; created if needed
    colorizer : Colorizer
    progress : called with the number of frames that are done, and of all frames (0: unknown)

    Returns
    -------
    The paths: shot-NNN-FRAME.png, both numbers from 0.

    Raises
    ------
    FilmError
        The film cannot be read, or a still cannot be written.
    """
    film, ahead = Film(source), Film(source)
    eye = Eye(colorizer, film.facts)
    pictures = enumerate(film.pictures())
    written: list[str] = []
    shot = -1
    os.makedirs(folder, exist_ok=True)
    for stretch in stretches((p.luma for p in ahead.pictures()), eye, Pace(passes=0)):
        stretch.close()
        chosen = stretch.first + stretch.keys[representative(stretch.seen)]
        if progress is not None:
            progress(stretch.first + stretch.count, film.facts.count)
        if not stretch.begins:
            continue  # the shot has its still
        shot += 1
        luma = next(picture.luma for number, picture in pictures if number == chosen)
        path = os.path.join(folder, f"shot-{shot:03}-{chosen:06}.png")
        _, png = cv2.imencode(".png", upright(film.facts.scale.unit(luma), film.facts))
        write_whole(path, png.tobytes(), FilmError)
        written.append(path)
    return written


def representative(seen: list[Seen]) -> int:
    """The number of the key that is most like the others and sharp."""
    if len(seen) < 3:
        return 0
    sharp = np.array([float(np.abs(cv2.Laplacian(s.image, cv2.CV_32F)).mean()) for s in seen])
    some = seen[:: max(1, len(seen) // 32)]
    alike = [np.mean([correlation(s.small, other.small) for other in some]) for s in seen]
    return int(np.argmax(np.array(alike) + 0.2 * sharp / max(sharp.max(), 1e-6)))


def upright(unit: Float32, facts: Facts) -> NDArray[np.uint8]:
    """A gray frame, 0..1 as stored, as it is shown: uint8, upright, with square pixels."""
    gray = np.asarray(unit * np.float32(255) + np.float32(0.5), np.uint8)
    turned = np.ascontiguousarray(np.rot90(gray, facts.turns))
    height, width = facts.shape
    if turned.shape != (height, width):
        turned = np.asarray(cv2.resize(turned, (width, height), interpolation=cv2.INTER_AREA))
    return turned


class Stills:
    """Stills that were colored: sessions saved by the studio, or pictures in color.

    Parameters
    ----------
    folder : with files named as `write_stills` named them, with another ending: .photochrom for a
        session, else a picture (.color before the ending is fine). Gray pictures are passed over.
    colorizer : Colorizer

    Attributes
    ----------
    numbers : of the frames that have a still

    Raises
    ------
    FilmError
        There is none.
    """

    def __init__(self, folder: str, colorizer: Colorizer) -> None:
        self._colorizer = colorizer
        self._files: dict[int, Path] = {}
        if not os.path.isdir(folder):
            raise FilmError(f"{folder}: no such folder of stills", "make one with --stills")
        for path in sorted(Path(folder).iterdir()):
            name = _NAME.fullmatch(path.name)
            if name is None or name[3].lower() not in (*_PICTURES, _SESSION):
                continue
            number = int(name[2])
            session = name[3] == _SESSION
            if session or (number not in self._files and _is_colored(path)):
                self._files[number] = path
        if not self._files:
            raise FilmError(
                f"{folder}: no still in it is colored",
                "save each one from the studio next to its still, as a session or a picture",
            )

    @property
    def numbers(self) -> frozenset[int]:
        """The numbers of the frames that have a still."""
        return frozenset(self._files)

    def key(self) -> list[Any]:
        """What a result depends on."""
        files = sorted(self._files.items())
        return [[n, path.name, path.stat().st_size, path.stat().st_mtime_ns] for n, path in files]

    def ab(self, number: int, size: tuple[int, int]) -> Float32:
        """Colors of a still: float32 (h, w, 2), upright, at the network's resolution.

        Raises
        ------
        FilmError
            The file is damaged.
        """
        path = self._files[number]
        try:
            if path.suffix == f".{_SESSION}":
                return self._session(path)
            return area_ab(_read(path.read_bytes()), size)
        except PhotochromError as error:
            raise FilmError(f"{path}: cannot be used: {error}") from None
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise FilmError(
                f"{path}: is damaged, or is not a still ({type(error).__name__})"
            ) from None

    def _session(self, path: Path) -> Float32:
        with zipfile.ZipFile(path) as archive:
            words = json.loads(archive.read("session.json"))
            photo = next(n for n in archive.namelist() if n.startswith("photo/"))
            gray = _read(archive.read(photo))
        hints = [
            Hint(
                *(h["x"], h["y"], (128, 128, 128) if h.get("gray") else h["color"]),
                *(h.get("reach", 1.0), h.get("strength", 1.0)),
                *(h.get("stroke", ()), h.get("region", ())),
            )
            for h in words["hints"]
        ]
        settings = words["settings"]
        prediction = self._colorizer.predict(gray, hints)
        candidate = settings.get("candidate")
        if candidate is not None:
            made = prediction.candidate_predictions(
                int(candidate) + 1, int(settings.get("seed", 0))
            )
            prediction = made[int(candidate)]
        return prediction.ab(float(settings["temperature"]), float(settings["saturation"]))


def _read(data: bytes) -> NDArray[np.uint8]:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError("no picture")
    return np.ascontiguousarray(picture[..., ::-1], np.uint8)


def _is_colored(path: Path) -> bool:
    try:
        return bool(np.ptp(_read(path.read_bytes()).astype(np.int16), axis=-1).max() > 8)
    except (OSError, ValueError):
        return True  # told when it is used


def area_ab(rgb: NDArray[np.uint8], size: tuple[int, int]) -> Float32:
    """ab of a picture (H, W, 3), reduced by area to float32 (h, w, 2)."""
    lab = rgb_to_lab(rgb)
    return np.stack([area_shrink(np.ascontiguousarray(lab[..., c]), size) for c in (1, 2)], -1)


def spread(stretch: Stretch, stills: Stills, eye: Eye) -> None:
    """Give each key of a stretch what the stills of its shot add to its colors.

    Parameters
    ----------
    stretch : its `shifts` are set, and what `last` hands on; nothing, if no still concerns it
    stills : Stills; more than one in a stretch share it, each key taking the nearest
    eye : Eye
    """
    own = [k for k, n in enumerate(stretch.keys) if stretch.first + n in stills.numbers]
    size = stretch.seen[0].small.shape
    shifts = np.zeros((len(stretch.keys), 2, *size), np.float32)
    if own:
        _from_stills(stretch, stills, eye, own, shifts)
    elif not stretch.begins and stretch.before is not None and stretch.before.shift is not None:
        match = Motion().match(stretch.seen[0], stretch.before.seen)
        shifts[0] = (
            carry(stretch.before.shift, match.x, match.y, cv2.INTER_LINEAR) * match.certainty
        )
        _along(stretch, 0, range(1, len(shifts)), shifts)
    else:
        return
    stretch.shifts = list(shifts)
    if stretch.last is not None:
        stretch.last = stretch.last.shifted(shifts[-1])


def _from_stills(
    stretch: Stretch, stills: Stills, eye: Eye, own: list[int], shifts: Float32
) -> None:
    size = stretch.seen[0].small.shape
    for key in own:
        wanted = stills.ab(stretch.first + stretch.keys[key], (size[0], size[1]))
        if wanted.shape[:2] != size:
            raise FilmError(f"the still of frame {stretch.keys[key]} has another shape")
        found = eye.upright_ab(stretch.states[key], stretch.look)
        shifts[key] = np.moveaxis(wanted - found, -1, 0)
    # Each still reaches half the way to the next, and the outer ones to the ends.
    middles = [(a + b + 1) // 2 for a, b in pairwise(own)]
    starts, ends = [0, *middles], [*middles, len(shifts)]
    for key, start, end in zip(own, starts, ends, strict=True):
        _along(stretch, key, range(key + 1, end), shifts)
        _along(stretch, key, range(key - 1, start - 1, -1), shifts)


def _along(stretch: Stretch, origin: int, keys: range, shifts: Float32) -> None:
    """Carry the shift of the key `origin` to one key after the other."""
    motion = Motion()
    size = shifts.shape[2:]
    sure = np.ones((1, *size), np.float32)
    features = _Features(stretch.states[origin], stretch.seen[origin], shifts[origin])
    before = origin
    for key in keys:
        match = motion.match(stretch.seen[key], stretch.seen[before])
        moved = carry(shifts[before], match.x, match.y, cv2.INTER_LINEAR)
        sure = carry(sure, match.x, match.y, cv2.INTER_LINEAR) * match.certainty
        found = features.of(stretch.states[key], stretch.seen[key])
        shifts[key] = sure * moved + (1 - sure) * found
        before = key


class _Features:
    """What a still adds, looked up by what a place is like."""

    def __init__(self, logits: Float32, seen: Seen, shift: Float32) -> None:
        step = max(1, min(seen.small.shape) // _SAMPLES)
        self._root = np.sqrt(bins.softmax(logits[:, ::step, ::step])).reshape(len(logits), -1)
        self._L = seen.small[::step, ::step].ravel()
        self._shift = shift[:, ::step, ::step].reshape(2, -1)

    def of(self, logits: Float32, seen: Seen) -> Float32:
        """For every place of a key, float32 (2, h, w); 0 for what is like nothing of the still."""
        root = np.sqrt(bins.softmax(logits)).reshape(len(logits), -1)
        like = np.clip(root.T @ self._root, 0, 1) ** LIKENESS
        apart = seen.small.ravel()[:, None] - self._L
        like *= np.exp(-(apart**2) / np.float32(2 * LIGHTNESS**2))
        total = like.sum(axis=1)
        share = np.minimum(total / np.float32(ENOUGH), 1) / np.maximum(total, np.float32(1e-6))
        found = (like @ self._shift.T) * share[:, None]
        return np.ascontiguousarray(found.T.reshape(2, *seen.small.shape), np.float32)
