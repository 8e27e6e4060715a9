"""`photochrom evaluate`: how good are colorings, measured as the paper does, and more.

Every photo is made gray, colored by each model through the whole product, and compared with the
original in the pixels that a user gets. What is kept of a photo is a row of sums, so that every
figure, and its bootstrap interval, is a function of sums over photos:

    photos ──Scorer──▶ parts (sums of a few photos, on disk) ──collect──▶ Result ──▶ figures

Parts are scored in parallel and are the unit of resuming. `report` turns the result into files.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
import shutil
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from photochrom import bins, color, metrics
from photochrom._version import __version__
from photochrom.colorizer import Colorizer, Prediction
from photochrom.errors import ConfigError, DataError, ModelError, PhotochromError, PhotoError
from photochrom.image import decode_photo, resized, to_uint8
from photochrom.judges import Classifier, Features, frechet_distances
from photochrom.models import load_model
from photochrom.train.prepare import subject_of
from photochrom.train.shards import PhotoStore
from photochrom.upsample import area_shrink

__all__ = ["FIGURES", "Evaluation", "Figure", "Result", "Row", "evaluate", "figures_of"]

Float64 = NDArray[np.float64]
RGB = NDArray[np.uint8]

SHORT_SIDE = 256
"""Larger photos are reduced to this before anything else; the paper measured at 256."""
TEMPERATURES = (0.05, 0.1, 0.2, 0.3, bins.TEMPERATURE, 0.5, 0.65, 0.8, 1.0)
"""Of the temperature sweep."""
STRENGTHS = (0.0, 0.5)
"""The lambdas of AuC rebalanced."""
CELLS = np.array(
    [0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1]
)
"""Borders of the cells of probability of the reliability diagram; most of 313 are small."""
PART = 16
"""Photos scored together: at most these are lost when the work is interrupted."""

_C = len(CELLS) - 1
_T = metrics.THRESHOLDS + 1

# What is kept of each photo and row: named columns of sums, so that photos add up.
COLUMNS = (
    "photos", "pixels", "error", "weight_0", "error_0", "weight_0.5", "error_0.5",
    "psnr", "psnr_photos", "delta_e", "colorfulness", "chroma",
    "nll", "entropy", "distributions", "ms", "timed", "hit", "labeled",
    *(f"cell_{what}_{i}" for what in ("count", "stated", "hit") for i in range(_C)),
)  # fmt: skip
_AT = {name: i for i, name in enumerate(COLUMNS)}


# --- what is asked --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One way to color: what the table has a line for."""

    name: str
    kind: str
    """truth, gray, random, model or folder."""
    source: int = -1
    """Index among the models or folders."""
    temperature: float = bins.TEMPERATURE
    rebalance: float = 1.0
    """How much of the model's rebalancing to keep."""


@dataclass(frozen=True)
class Evaluation:
    """All that decides the figures."""

    photos: tuple[str, ...]
    """Folders of color photos, or tar shards."""
    models: tuple[tuple[str, str], ...] = ()
    """(name, bundled name or file) of the models to measure."""
    against: tuple[tuple[str, str], ...] = ()
    """(name, folder) of results that others made of the same photos, with the same file names."""
    baselines: bool = True
    """Rows for the truth, for gray, and for the colors of another photo."""
    temperatures: tuple[float, ...] = (bins.TEMPERATURE,)
    rebalance: tuple[float, ...] = (1.0,)
    working_size: int | None = None
    """Short side that the networks see; None for each model's own."""
    short_side: int = SHORT_SIDE
    """Larger photos are reduced to it; 0 keeps all as they are."""
    skip: int = 0
    limit: int = 0
    """Only so many photos after the first `skip`; 0 for all."""
    sweep: int = 500
    """Photos of the temperature sweep; 0 for none."""
    prior: str | None = None
    """A .npy file; None for that beside the photos, or else that of the photos themselves."""
    classifier: str | None = None
    """ONNX file of an image classifier, for the semantic test."""
    features: str | None = None
    """ONNX file of a feature network, for FID."""
    seed: int = 0

    def __post_init__(self) -> None:
        names = [name for name, _ in (*self.models, *self.against)]
        for name in names:
            if names.count(name) > 1 or name in ("original", "gray", "random"):
                raise ConfigError(f"{name}: two rows of this name; give others as NAME=...")
        if not names and not self.baselines:
            raise ConfigError("nothing to measure: name a model or a folder of results")
        for t in self.temperatures:
            if not (np.isfinite(t) and t >= 0):
                raise ConfigError(f"temperature = {t}: must be a number not below 0")
        if not self.temperatures or not self.rebalance:
            raise ConfigError("give at least one temperature and one share of rebalancing")
        if any(not 0 <= r <= 1 for r in self.rebalance):
            raise ConfigError(f"rebalance = {self.rebalance}: must lie in [0, 1]")
        if min(self.short_side, self.skip, self.limit, self.sweep) < 0:
            raise ConfigError("short side, skip, limit and sweep must not be negative")
        if 0 < self.short_side < 32:
            raise ConfigError(f"short side {self.short_side}: must be at least 32, or 0 for all")

    def rows(self, regressions: Sequence[bool]) -> list[Row]:
        """The lines of the table; a regression has neither temperature nor rebalancing."""
        rows = [Row("original", "truth"), Row("gray", "gray")]
        if self.baselines:
            rows.append(Row("random", "random"))
        several = len(self.temperatures) > 1, len(self.rebalance) > 1
        for source, (name, _) in enumerate(self.models):
            if regressions[source]:
                rows.append(Row(name, "model", source))
                continue
            for r in self.rebalance:
                for t in self.temperatures:
                    label = name
                    label += f", T {t:g}" if several[0] else ""
                    label += f", rebalance {r:g}" if several[1] else ""
                    rows.append(Row(label, "model", source, t, r))
        rows += [Row(name, "folder", i) for i, (name, _) in enumerate(self.against)]
        return rows


# --- figures --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figure:
    """One column of the table."""

    key: str
    title: str
    about: str
    digits: int
    of: Callable[[Sums, Sums], Any]
    """From the sums of a row and those of the originals."""
    best: int = 0
    """1 where more is better, -1 where less is, 0 where neither."""


class Sums:
    """Sums (..., len(COLUMNS)) with names."""

    def __init__(self, values: Float64) -> None:
        self.values = values

    def __getitem__(self, name: str) -> Float64:
        column: Float64 = self.values[..., _AT[name]]
        return column

    def cells(self, what: str) -> Float64:
        """One of count, stated, hit: (..., cells)."""
        first = _AT[f"cell_{what}_0"]
        return self.values[..., first : first + _C]


def _ratio(above: str, below: str) -> Callable[[Sums, Sums], Any]:
    return lambda s, _: s[above] / s[below]


def _auc(error: str, weight: str) -> Callable[[Sums, Sums], Any]:
    # The curve of the share of errors up to t, integrated over t in [0, 150], is 150 minus the mean
    # of min(error, 150): by parts, exactly.
    return lambda s, _: 100 * (1 - s[error] / s[weight])


def _calibration(s: Sums, _: Sums) -> Any:
    """Mean distance of stated probability and frequency, by where the probability lies."""
    count, stated, hit = (s.cells(what) for what in ("count", "stated", "hit"))
    gap = np.abs(stated - hit) / np.maximum(count, 1)
    total = stated.sum(axis=-1)
    return 100 * (gap * stated).sum(axis=-1) / np.where(total > 0, total, np.nan)


FIGURES = (
    Figure("auc_raw", "AuC raw", "share of pixels with an ab error up to t, over t in 0..150, %", 2,
           _auc("error", "pixels"), 1),
    Figure("auc_rebalanced_0", "AuC reb. λ=0", "the same, pixels weighted by 1 / p of their true "
           "bin", 2, _auc("error_0", "weight_0"), 1),
    Figure("auc_rebalanced_0.5", "AuC reb. λ=½", "the same, with the weights used in training", 2,
           _auc("error_0.5", "weight_0.5"), 1),
    Figure("psnr", "PSNR", "mean over photos, dB, on RGB; photos met exactly are left out", 2,
           _ratio("psnr", "psnr_photos"), 1),
    Figure("delta_e_2000", "ΔE00", "mean CIEDE2000 over photos", 2,
           _ratio("delta_e", "photos"), -1),
    Figure("colorfulness", "CF", "colorfulness (Hasler and Süsstrunk 2003, no absolute values)", 2,
           _ratio("colorfulness", "photos")),
    Figure("delta_colorfulness", "ΔCF", "|CF − CF of the originals|", 2,
           lambda s, o: np.abs(s["colorfulness"] / s["photos"] - o["colorfulness"] / o["photos"]),
           -1),
    Figure("chroma_share", "chroma", "mean chroma as a share of the originals'", 2,
           lambda s, o: s["chroma"] / o["chroma"]),
    Figure("nll", "NLL", "−log2 of the probability of the true bin, bits per pixel, at the "
           "network's output, rebalancing taken off", 2, _ratio("nll", "distributions"), -1),
    Figure("calibration", "calibr.", "mean |stated probability − frequency| over all bins, weighted"
           " by probability, percentage points", 2, _calibration, -1),
    Figure("ms", "ms", "milliseconds per photo, network and rendering, one thread, all cores busy "
           "with others", 1, _ratio("ms", "timed"), -1),
    Figure("top_1", "top-1", "share of photos that a classifier still names, %", 1,
           lambda s, _: 100 * s["hit"] / s["labeled"], 1),
)  # fmt: skip


def figures_of(sums: Float64, truth: Float64) -> dict[str, float]:
    """All figures of a row from its sums (columns,) and those of the originals; NaN: has none."""
    with np.errstate(all="ignore"):
        return {f.key: float(f.of(Sums(sums), Sums(truth))) for f in FIGURES}


# --- scoring photos -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """What scoring some photos gives; everything adds up over parts."""

    sums: Float64  # (photos, rows, columns)
    errors: Float64  # (rows, 1 + strengths, thresholds): histogram of ab errors in whole units
    sweep: Float64  # (models, temperatures, columns), and the originals' in the last row
    used: NDArray[np.int64]  # (photos,) which photo each of `sums` is
    skipped: tuple[tuple[str, str], ...]  # (photo, reason)
    features: NDArray[np.float32]  # (photos, rows, width); width 0 without a feature network

    def save(self, path: Path) -> None:
        """Write beside, then rename: a kill leaves a whole part or none."""
        file = io.BytesIO()
        arrays = {k: v for k, v in vars(self).items() if k != "skipped"}
        np.savez_compressed(file, skipped=json.dumps(self.skipped), **arrays)
        beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        beside.write_bytes(file.getvalue())
        beside.replace(path)

    @classmethod
    def load(cls, path: Path) -> Part | None:
        """None for a part that is missing or damaged: it is scored again."""
        try:
            # Opened here: NumPy would leave a damaged file open.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                values = dict(arrays)
            skipped = tuple((a, b) for a, b in json.loads(str(values.pop("skipped"))))
            return cls(skipped=skipped, **values)
        except (OSError, ValueError, TypeError, KeyError, EOFError, BadZipFile, zlib.error):
            return None


class Scorer:
    """Scores photos of one evaluation; each worker process has one.

    Raises
    ------
    ModelError, DataError
        A model, a folder or a network that judges cannot be used.
    """

    def __init__(self, asked: Evaluation, prior: Float64) -> None:
        self.asked = asked
        self.store = PhotoStore(asked.photos)
        self.colorizers = [
            Colorizer(source, working_size=asked.working_size, threads=1)
            for _, source in asked.models
        ]
        self.folders = [Folder(name, path) for name, path in asked.against]
        self.rows = asked.rows([c.info.regression for c in self.colorizers])
        self.weights = [metrics.class_weights(prior, x) for x in STRENGTHS]
        self.classifier = Classifier(asked.classifier, 1) if asked.classifier else None
        self.features = Features(asked.features, 1) if asked.features else None

    # --- from photo to results ---

    def original(self, i: int) -> RGB:
        """A photo of the store, uint8 (H, W, 3), reduced to the short side that was asked for."""
        return self._reduced(_rgb_of(self.store, i), self.store.name(i))

    def _reduced(self, rgb: RGB, name: str) -> RGB:
        height, width = rgb.shape[:2]
        side = self.asked.short_side
        if min(height, width) < 4:
            raise PhotoError(f"{name}: {width} x {height} pixels are too few to be measured")
        if side and min(height, width) > side:
            scale = side / min(height, width)
            rgb = resized(rgb, max(1, round(height * scale)), max(1, round(width * scale)))
        return rgb

    def predictions(self, truth: RGB) -> tuple[list[Prediction], list[float]]:
        """Each model's prediction for the photo made gray, and its seconds."""
        gray, out, seconds = grayed(truth), [], []
        for colorizer in self.colorizers:
            began = time.perf_counter()
            out.append(colorizer.predict(gray))
            seconds.append(time.perf_counter() - began)
        return out, seconds

    def results(
        self, i: int, truth: RGB, predictions: Sequence[Prediction]
    ) -> Iterator[tuple[RGB, float]]:
        """What each row makes of a photo, uint8 (H, W, 3), and the seconds of rendering it."""
        for row in self.rows:
            began = time.perf_counter()
            if row.kind == "truth":
                rgb = truth
            elif row.kind == "gray":
                rgb = np.repeat(grayed(truth)[..., None], 3, axis=2)
            elif row.kind == "random":
                rgb = self._recolored(i, truth)
            elif row.kind == "folder":
                rgb = self._reduced(self.folders[row.source].read(self.store.key(i), truth), "")
                if rgb.shape != truth.shape:
                    raise PhotoError(f"{row.name}: its result is not of the photo's size")
            else:
                rgb = _rendered(predictions[row.source], row)
            yield rgb, time.perf_counter() - began

    def _recolored(self, i: int, truth: RGB) -> RGB:
        """The photo with the ab of another one, stretched over it (the paper's "random")."""
        n = len(self.store)
        if n < 2:
            raise PhotoError("the colors of another photo need a second photo")
        rng = np.random.default_rng((self.asked.seed, i))
        for _ in range(8):  # another one may be unreadable
            other = (i + 1 + int(rng.integers(n - 1))) % n
            try:
                rgb = resized(self.original(other), *truth.shape[:2])
                break
            except PhotochromError:
                continue
        else:
            raise PhotoError("no other photo to take colors from can be read")
        L = color.rgb_to_L(truth)
        fitted: RGB = color.fit_gamut(L, color.rgb_to_lab(rgb)[..., 1:], np.uint8)
        return fitted

    # --- from results to sums ---

    def score(self, i: int, part: _Tally) -> None:
        """Add a photo; nothing of it is added when it cannot be read or colored.

        Raises
        ------
        PhotochromError
        """
        truth = self.original(i)
        lab = color.rgb_to_lab(truth)
        nearest = bins.nearest_bin(lab[..., 1:])
        predictions, seconds = self.predictions(truth)
        sums = np.zeros((len(self.rows), len(COLUMNS)))
        errors = np.zeros((len(self.rows), 1 + len(STRENGTHS), _T))
        label = None if self.classifier is None else self.classifier.label(self._label(i))
        pictures: list[RGB] = []
        for n, (rgb, spent) in enumerate(self.results(i, truth, predictions)):
            row, s = self.rows[n], sums[n]
            self._measure(rgb, truth, lab, nearest, s, errors[n])
            if row.kind == "model":
                s[_AT["ms"]], s[_AT["timed"]] = 1e3 * (seconds[row.source] + spent), 1
                if not predictions[row.source].info.regression:
                    _judge_distribution(predictions[row.source], lab, s)
            if label is not None or self.features is not None:
                pictures.append(rgb)
        if self.classifier is not None and label is not None:
            sums[:, _AT["labeled"]] = 1
            sums[:, _AT["hit"]] = self.classifier.top(pictures) == label
        features = None if self.features is None else self.features(pictures)
        sweep = self._sweep(truth, lab, nearest, predictions) if i in part.swept else None
        part.add(i, sums, errors, sweep, features)

    def _measure(
        self,
        rgb: RGB,
        truth: RGB,
        lab: NDArray[np.float32],
        nearest: NDArray[np.int64],
        s: Float64,
        errors: Float64 | None = None,
    ) -> None:
        """The figures that compare two pictures, into the columns of a row."""
        same = rgb is truth
        result = lab if same else color.rgb_to_lab(rgb)
        error = np.linalg.norm(result[..., 1:] - lab[..., 1:], axis=-1).astype(np.float64).ravel()
        share = np.minimum(error, metrics.THRESHOLDS) / metrics.THRESHOLDS
        s[_AT["photos"]], s[_AT["pixels"]], s[_AT["error"]] = 1, error.size, share.sum()
        cell = np.minimum(np.ceil(error), metrics.THRESHOLDS).astype(np.int64)
        if errors is not None:
            errors[0] = np.bincount(cell, minlength=_T)
        for k, (strength, w) in enumerate(zip(STRENGTHS, self.weights, strict=True), 1):
            each = w[nearest.ravel()]
            s[_AT[f"weight_{strength:g}"]] = each.sum()
            s[_AT[f"error_{strength:g}"]] = (each * share).sum()
            if errors is not None:
                errors[k] = np.bincount(cell, weights=each, minlength=_T)
        s[_AT["colorfulness"]] = metrics.colorfulness(rgb)
        if errors is None:
            return
        psnr = metrics.psnr(rgb, truth)
        if np.isfinite(psnr):
            s[_AT["psnr"]], s[_AT["psnr_photos"]] = psnr, 1
        s[_AT["delta_e"]] = 0 if same else metrics.delta_e_2000(result, lab).mean()
        s[_AT["chroma"]] = np.linalg.norm(result[..., 1:], axis=-1).sum()

    def _sweep(
        self,
        truth: RGB,
        lab: NDArray[np.float32],
        nearest: NDArray[np.int64],
        predictions: Sequence[Prediction],
    ) -> Float64:
        """(models + 1, temperatures, columns), the originals last; a regression's stays empty."""
        out = np.zeros((len(predictions) + 1, len(TEMPERATURES), len(COLUMNS)))
        for j, t in enumerate(TEMPERATURES):
            for m, prediction in enumerate(predictions):
                if not prediction.info.regression:
                    rgb = prediction.render(t)
                    self._measure(rgb, truth, lab, nearest, out[m, j])
            self._measure(truth, truth, lab, nearest, out[-1, j])
        return out

    def _label(self, i: int) -> str:
        return label_of(self.store.key(i), self.store.in_shard(i))

    # --- several photos ---

    def part(self, photos: Sequence[int], swept: frozenset[int]) -> Part:
        """Score some photos; one that fails is left out with its reason."""
        tally = _Tally(len(self.rows), len(self.colorizers), swept)
        for i in photos:
            try:
                self.score(i, tally)
            except (PhotoError, DataError) as error:
                tally.skipped.append((self.store.key(i), str(error)))
        return tally.part()


@dataclass
class _Tally:
    """Collects the photos of a part."""

    rows: int
    models: int
    swept: frozenset[int]
    sums: list[Float64] = field(default_factory=list)
    features: list[NDArray[np.float32]] = field(default_factory=list)
    used: list[int] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.errors = np.zeros((self.rows, 1 + len(STRENGTHS), _T))
        self.sweep = np.zeros((self.models + 1, len(TEMPERATURES), len(COLUMNS)))

    def add(
        self,
        i: int,
        sums: Float64,
        errors: Float64,
        sweep: Float64 | None,
        features: NDArray[np.float32] | None,
    ) -> None:
        self.used.append(i)
        self.sums.append(sums)
        self.errors += errors
        if sweep is not None:
            self.sweep += sweep
        if features is not None:
            self.features.append(features)

    def part(self) -> Part:
        n = len(self.used)
        width = self.features[0].shape[1] if self.features else 0
        return Part(
            np.array(self.sums).reshape(n, self.rows, len(COLUMNS)),
            self.errors,
            self.sweep,
            np.array(self.used, np.int64),
            tuple(self.skipped),
            np.array(self.features, np.float32).reshape(n, self.rows, width),
        )


def grayed(rgb: RGB) -> RGB:
    """The gray photo of the same lightness, uint8 (H, W): what a black-and-white film kept."""
    luminance = color.L_to_luminance(color.rgb_to_L(rgb))
    gray: RGB = color.from_unit(color.linear_to_srgb(luminance), np.uint8)
    return gray


def _rendered(prediction: Prediction, row: Row) -> RGB:
    if row.rebalance != 1 and not prediction.info.regression:
        # A network trained with class weights w learns p w; this leaves p w^rebalance.
        off = (1 - row.rebalance) * prediction.info.log_weights
        prediction = replace(prediction, logits=prediction.logits - off[:, None, None])
    rgb: RGB = prediction.render(row.temperature)
    return rgb


def _judge_distribution(prediction: Prediction, lab: NDArray[np.float32], s: Float64) -> None:
    """Likelihood of the true bins, entropy, and how often the bins of each probability are true."""
    log_p = prediction.log_probabilities()
    h, w = log_p.shape[1:]
    ab = np.stack([area_shrink(lab[..., c], (h, w)) for c in (1, 2)], axis=-1)
    centers = prediction.info.bins
    true = (
        bins.nearest_bin(ab)
        if np.array_equal(centers, bins.BINS)
        else np.linalg.norm(ab[..., None, :] - centers, axis=-1).argmin(axis=-1)
    )
    of_truth = np.take_along_axis(log_p, true[None], axis=0)[0]
    s[_AT["distributions"]] = 1
    s[_AT["nll"]] = -of_truth.mean(dtype=np.float64) / np.log(2)
    p = np.exp(log_p)
    s[_AT["entropy"]] = -(p * log_p).sum(axis=0).mean(dtype=np.float64) / np.log(2)
    for what, probabilities, weights in (
        ("count", p, None),
        ("stated", p, p),
        ("hit", np.exp(of_truth), None),
    ):
        first = _AT[f"cell_{what}_0"]
        flat = np.minimum(probabilities.ravel(), 1)
        # Per pixel, or photos of another size would count more than once for all else here.
        cells, _ = np.histogram(flat, CELLS, weights=None if weights is None else weights.ravel())
        s[first : first + _C] = cells / (h * w)


def _rgb_of(store: PhotoStore, i: int) -> RGB:
    """Decoded, uint8 (H, W, 3); alpha is left out."""
    pixels = to_uint8(decode_photo(store.read(i), store.name(i)).pixels)
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


class Folder:
    """Results that somebody made of the photos, found by name."""

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.store = PhotoStore([path])
        self.places = {self.store.key(i): i for i in range(len(self.store))}

    def read(self, key: str, truth: RGB) -> RGB:
        """The result for a photo. Raises PhotoError where there is none or it cannot be read."""
        if key not in self.places:
            raise PhotoError(f"{key}: {self.name} has no result of this name")
        return _rgb_of(self.store, self.places[key])


_WORDNET = re.compile(r"n\d{8}")


def label_of(key: str, in_shard: bool) -> str:
    """The class that a photo's name says: a WordNet id at the key's end, or its folder's name."""
    last = key.rsplit("-", 1)[-1]
    if in_shard and _WORDNET.fullmatch(last):
        return last
    return PurePosixPath(key).parent.name


# --- the whole evaluation -------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    """The figures' raw material, over all photos."""

    asked: Evaluation
    rows: tuple[Row, ...]
    sums: Float64  # (photos, rows, columns)
    errors: Float64  # (rows, 1 + strengths, thresholds)
    sweep: Float64  # (models + 1, temperatures, columns)
    keys: tuple[str, ...]
    used: NDArray[np.int64]
    subjects: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    prior: str
    fid: tuple[float, ...]  # of each row; empty without a feature network
    sources: dict[str, str]
    """What was measured: SHA-256 of each model, and of the list of photos."""
    scorer: Scorer
    """Makes the pictures again that a report shows."""

    def totals(self, photos: NDArray[np.bool_] | None = None) -> Float64:
        """Sums over all photos, or those chosen: (rows, columns)."""
        chosen = self.sums if photos is None else self.sums[photos]
        total: Float64 = chosen.sum(axis=0)
        return total

    @cached_property
    def reference(self) -> int:
        """The row that the others are compared with: the first model, or else gray."""
        kinds = [row.kind for row in self.rows]
        return kinds.index("model") if "model" in kinds else kinds.index("gray")

    def intervals(
        self, row: int, photos: NDArray[np.bool_] | None = None, resamples: int = 1000
    ) -> dict[str, tuple[float, float]]:
        """95 % bootstrap interval over photos of each figure of a row."""
        return self._bootstrap(row, None, photos, resamples)

    def differences(self, row: int, resamples: int = 1000) -> dict[str, tuple[float, float]]:
        """95 % interval of each figure's difference from the reference row, on the same photos."""
        return self._bootstrap(row, self.reference, None, resamples)

    def _bootstrap(
        self, row: int, other: int | None, photos: NDArray[np.bool_] | None, resamples: int
    ) -> dict[str, tuple[float, float]]:
        sums = self.sums if photos is None else self.sums[photos]
        k = len(COLUMNS)
        blocks = [sums[:, row], sums[:, 0]] + ([] if other is None else [sums[:, other]])
        together = np.concatenate(blocks, axis=1)

        def statistic(figure: Figure) -> Callable[[Float64], Float64]:
            def of(total: Float64) -> Float64:
                truth = Sums(total[:, k : 2 * k])
                value: Float64 = figure.of(Sums(total[:, :k]), truth)
                return value if other is None else value - figure.of(Sums(total[:, 2 * k :]), truth)

            return of

        return metrics.bootstrap_intervals(
            {f.key: statistic(f) for f in FIGURES},
            together,
            resamples=resamples,
            seed=self.asked.seed,
        )


def evaluate(
    asked: Evaluation,
    work: Path,
    *,
    workers: int = 0,
    progress: bool = True,
) -> Result:
    """Score all photos, going on where an earlier run of the same evaluation stopped.

    Parameters
    ----------
    asked : what to measure
    work : folder for the parts; made, and kept for the next run
    workers : processes; 0 for one a core

    Raises
    ------
    ConfigError
        The folder holds the parts of another evaluation.
    ModelError, DataError
        A model or the photos cannot be used, or no photo could be measured.
    """
    from tqdm import tqdm

    store = PhotoStore(asked.photos)
    chosen = range(len(store))[asked.skip :][: asked.limit or None]
    if not len(chosen):
        raise ConfigError(f"no photo is left of {len(store)} after --skip {asked.skip}")
    sources = _sources(asked, store)
    prior, prior_name = _find_prior(asked, store, chosen, work, sources, progress)
    scorer = Scorer(asked, prior)  # here too, so that what is wrong is said before the work
    swept = frozenset(chosen[: asked.sweep]) if asked.models else frozenset()

    groups = [list(chosen[at : at + PART]) for at in range(0, len(chosen), PART)]
    paths = [work / f"part-{n:06}.npz" for n in range(len(groups))]
    with tqdm(
        total=len(chosen), desc="evaluate", unit="photo", disable=None if progress else True
    ) as bar:
        todo = []
        for n, path in enumerate(paths):
            if Part.load(path) is None:
                todo.append(n)
            else:
                bar.update(len(groups[n]))
        bar.unpause()
        skipped = 0
        jobs = ((n, groups[n], swept.intersection(groups[n])) for n in todo)
        for n, part in _score_all(asked, prior, scorer, jobs, len(todo), workers):
            part.save(paths[n])
            skipped += len(part.skipped)
            bar.set_postfix(left_out=skipped, refresh=False)
            bar.update(len(groups[n]))
    return _collect(scorer, paths, prior_name, sources)


def _score_all(
    asked: Evaluation,
    prior: Float64,
    scorer: Scorer,
    jobs: Iterable[tuple[int, list[int], frozenset[int]]],
    count: int,
    workers: int,
) -> Iterator[tuple[int, Part]]:
    """Parts as they are done, by that many processes; a few are ahead at any time."""
    from photochrom.train.prepare import start_workers

    workers = min(workers or os.cpu_count() or 1, count)
    if workers <= 1:
        for n, photos, swept in jobs:
            yield n, scorer.part(photos, swept)
        return
    pool = start_workers(workers, _open_scorer, (asked, prior))
    running: dict[Future[Part], int] = {}
    try:
        for n, photos, swept in jobs:
            running[pool.submit(_score_part, photos, swept)] = n
            if len(running) >= 3 * workers:
                yield from _finished(running)
        while running:
            yield from _finished(running)
    except BrokenProcessPool as error:
        raise DataError(
            "a worker died; out of memory? Call again with fewer --workers: what is done is kept"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _finished(running: dict[Future[Part], int]) -> Iterator[tuple[int, Part]]:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        yield running.pop(future), future.result()


_scorer: Scorer | None = None  # of this worker process


def _open_scorer(asked: Evaluation, prior: Float64) -> None:
    global _scorer
    _scorer = Scorer(asked, prior)


def _score_part(photos: list[int], swept: frozenset[int]) -> Part:
    assert _scorer is not None
    return _scorer.part(photos, swept)


def _sources(asked: Evaluation, store: PhotoStore) -> dict[str, str]:
    """What enters, by content: another model or another photo is another evaluation."""
    sources = {"photos": store.fingerprint()}
    for name, model in asked.models:
        sources[f"model {name}"] = load_model(model, threads=1).sha256
    for name, folder in asked.against:
        sources[f"folder {name}"] = PhotoStore([folder]).fingerprint()
    for what, path in (("classifier", asked.classifier), ("features", asked.features)):
        if path is not None:
            try:
                sources[what] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
            except OSError as error:
                raise ModelError(
                    f"{path}: the {what} cannot be read ({error.strerror}); give its ONNX file, "
                    f"or leave out --{'fid' if what == 'features' else what}"
                ) from None
    return sources


def _find_prior(
    asked: Evaluation,
    store: PhotoStore,
    chosen: range,
    work: Path,
    sources: dict[str, str],
    progress: bool,
) -> tuple[Float64, str]:
    """The prior and its name; opens the work folder, for what was measured is kept there."""
    path = asked.prior
    if path is None:
        for photos in asked.photos:
            folder = Path(photos) if Path(photos).is_dir() else Path(photos).parent
            if (folder / "prior.npy").is_file():
                path = str(folder / "prior.npy")
                break
    if path is not None:
        prior = _load_prior(path)
        name = f"{Path(path).name}, sha256 {hashlib.sha256(prior.tobytes()).hexdigest()[:12]}"
    _open_work(asked, work, sources)
    if path is None:
        kept = work / "prior.npy"
        if not kept.exists():
            measured = measure_prior(asked, store, chosen, progress)
            beside = work / f".prior.{secrets.token_hex(4)}.npy"
            np.save(beside, measured)
            beside.replace(kept)
        prior, name = _load_prior(str(kept)), "that of the photos measured"
    return prior.astype(np.float64), name


def _load_prior(path: str) -> NDArray[np.float32]:
    try:
        prior = np.asarray(np.load(path, allow_pickle=False), dtype=np.float32)
        metrics.class_weights(prior, 0.5)  # refuses what is no distribution
    except (OSError, EOFError, ValueError, TypeError, ConfigError) as error:
        raise DataError(
            f"{path}: is no prior ({error}); give the prior.npy that `photochrom prepare` writes"
        ) from error
    return prior


def measure_prior(
    asked: Evaluation, store: PhotoStore, chosen: range, progress: bool, photos: int = 4000
) -> NDArray[np.float32]:
    """The prior over evenly spread photos, at a quarter of their size, float32 (313,)."""
    from tqdm import tqdm

    counts = np.zeros((221, 221), dtype=np.int64)
    picked = np.unique(np.linspace(0, len(chosen) - 1, min(photos, len(chosen))).astype(int))
    for n in tqdm(picked, desc="prior", unit="photo", disable=None if progress else True):
        try:
            rgb = _rgb_of(store, chosen[int(n)])
        except (PhotoError, DataError):
            continue  # it will be named when it is scored
        side = min(rgb.shape[:2])
        scale = min(1.0, (asked.short_side or side) / side) / 4
        small = tuple(max(1, round(length * scale)) for length in rgb.shape[:2])
        lab = color.rgb_to_lab(rgb)
        counts += bins.count_colors(
            np.stack([area_shrink(lab[..., c], (small[0], small[1])) for c in (1, 2)], axis=-1)
        )
    if not counts.any():
        raise DataError("no photo can be read: give folders or shards of color photos")
    return bins.smooth_prior(counts)


SETTINGS = "settings.json"


def _open_work(asked: Evaluation, work: Path, sources: dict[str, str]) -> None:
    """Make the folder for the parts, or check that it holds those of this very evaluation."""
    values = asdict(asked) | {"sources": sources, "version": __version__, "columns": len(COLUMNS)}
    # Where the photos lie does not matter, only what they are.
    for key in ("photos", "classifier", "features"):
        values.pop(key)
    for key in ("models", "against"):
        values[key] = [name for name, _ in values[key]]
    text = json.dumps(values, sort_keys=True, indent=1)
    path = work / SETTINGS
    if path.exists():
        if path.read_text() != text:
            raise ConfigError(
                f"{work.parent}: holds an evaluation with other settings, models or photos; give "
                "another folder, or --force to start anew"
            )
        return
    work.mkdir(parents=True, exist_ok=True)
    beside = work / f".settings.{secrets.token_hex(4)}"
    beside.write_text(text)
    beside.replace(path)


def forget(work: Path) -> None:
    """Remove the parts of an earlier evaluation; nothing if the folder is not one."""
    if (work / SETTINGS).exists():
        shutil.rmtree(work)


def _collect(scorer: Scorer, paths: Sequence[Path], prior: str, sources: dict[str, str]) -> Result:
    """Add up all parts, one at a time."""
    sums, used = [], []
    skipped: list[tuple[str, str]] = []
    errors: Any = 0.0
    sweep: Any = 0.0
    for path in paths:
        part = Part.load(path)
        if part is None:
            raise DataError(f"{path}: a part is damaged; run the same command again")
        sums.append(part.sums)
        used.append(part.used)
        skipped += part.skipped
        errors, sweep = errors + part.errors, sweep + part.sweep
    index = np.concatenate(used)
    if not len(index):
        first = f", the first: {skipped[0][1]}" if skipped else ""
        raise DataError(f"no photo could be measured{first}")
    store = scorer.store
    keys = tuple(store.key(int(i)) for i in index)
    fid: tuple[float, ...] = ()
    if scorer.features is not None:
        fid = frechet_distances(lambda: (_part(path).features for path in paths))
    return Result(
        scorer.asked,
        tuple(scorer.rows),
        np.concatenate(sums),
        errors,
        sweep,
        keys,
        index,
        tuple(
            _subject(subject_of(key, store.in_shard(int(i))))
            for key, i in zip(keys, index, strict=True)
        ),
        tuple(skipped),
        prior,
        fid,
        sources,
        scorer,
    )


def _part(path: Path) -> Part:
    part = Part.load(path)
    assert part is not None  # it was there a moment ago
    return part


def _subject(name: str) -> str:
    """Without the WordNet id that may follow it."""
    return re.sub(r"-n\d{8}$", "", name)
