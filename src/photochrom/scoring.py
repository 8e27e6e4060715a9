"""From a photo to its sums: made gray, colored in every way asked for, compared with the original.

A `Scorer` holds the models and scores photos one by one; a `Part` is what some photos came to, as
it is stored and added up. What is done with many photos stands in `evaluate`.
"""

from __future__ import annotations

import io
import itertools
import json
import re
import secrets
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from photochrom import bins, color, metrics
from photochrom.colorizer import Colorizer, Hint, Prediction
from photochrom.errors import ConfigError, DataError, PhotochromError, PhotoError
from photochrom.figures import CELLS, COLUMNS, EXACT, STRENGTHS, Sums
from photochrom.image import decode_photo, resized, to_uint8
from photochrom.judges import Classifier, Features
from photochrom.models import ModelInfo
from photochrom.train.prepare import is_gray
from photochrom.train.shards import PHOTO_SUFFIXES, PhotoStore
from photochrom.upsample import area_shrink

__all__ = [
    "TEMPERATURES",
    "Evaluation",
    "Part",
    "Row",
    "Scorer",
    "grayed",
    "label_of",
    "open_store",
    "true_hints",
]

Float64 = NDArray[np.float64]
RGB = NDArray[np.uint8]

SHORT_SIDE = 256
"""Larger photos are reduced to this before anything else; the paper measured at 256."""
MAX_HINTS = 1000
TEMPERATURES = (0.05, 0.1, 0.2, 0.3, bins.TEMPERATURE, 0.5, 0.65, 0.8, 1.0)
"""Of the temperature sweep."""

_T = metrics.THRESHOLDS + 1


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
    hints: int = 0
    """How many true colors the model is given."""


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
    hints: tuple[int, ...] = (0,)
    """Numbers of true colors, at random places, that a model is given; a row for each."""
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
    compare: str | None = None
    """Row that the others are compared with; None for the first model's, or else gray."""
    seed: int = 0

    def __post_init__(self) -> None:
        names = [name for name, _ in (*self.models, *self.against)]
        for name in names:
            if names.count(name) > 1 or name in ("original", "gray", "random"):
                raise ConfigError(f"{name}: two rows of this name; give others as NAME=...")
            if not name.isprintable():
                raise ConfigError(f"{name!r}: is no name for a row; give another as NAME=...")
        for values in (self.temperatures, self.rebalance, self.hints):
            if len(set(values)) < len(values):
                raise ConfigError(f"{values}: one of them is given twice")
        if not names and not self.baselines:
            raise ConfigError("nothing to measure: name a model or a folder of results")
        for t in self.temperatures:
            if not (np.isfinite(t) and t >= 0):
                raise ConfigError(f"temperature = {t}: must be a number not below 0")
        if not (self.temperatures and self.rebalance and self.hints):
            raise ConfigError("give at least one temperature, share of rebalancing and count")
        if any(not 0 <= n <= MAX_HINTS for n in self.hints):
            raise ConfigError(f"hints = {self.hints}: must lie in 0..{MAX_HINTS}")
        if any(not 0 <= r <= 1 for r in self.rebalance):
            raise ConfigError(f"rebalance = {self.rebalance}: must lie in [0, 1]")
        if min(self.short_side, self.skip, self.limit, self.sweep) < 0:
            raise ConfigError("short side, skip, limit and sweep must not be negative")
        if 0 < self.short_side < 32:
            raise ConfigError(f"short side {self.short_side}: must be at least 32, or 0 for all")

    def rows(self, infos: Sequence[ModelInfo]) -> list[Row]:
        """The lines of the table; a regression has neither temperature nor rebalancing.

        Raises
        ------
        ConfigError
            Hints are asked for and a model takes none.
        """
        rows = [Row("original", "truth"), Row("gray", "gray")]
        if self.baselines:
            rows.append(Row("random", "random"))
        for source, (name, _) in enumerate(self.models):
            info = infos[source]
            if any(self.hints) and info.channels != 4:
                raise ConfigError(f"{name}: this model takes no hints; leave out --hints")
            ts = (bins.TEMPERATURE,) if info.regression else self.temperatures
            shares = (1.0,) if info.regression else self.rebalance
            for r, t, n in itertools.product(shares, ts, self.hints):
                label = name
                label += f", T {t:g}" if len(ts) > 1 else ""
                label += f", rebalance {r:g}" if len(shares) > 1 else ""
                label += f", {n} hint{'s' * (n != 1)}" if len(self.hints) > 1 else ""
                rows.append(Row(label, "model", source, t, r, n))
        rows += [Row(name, "folder", i) for i, (name, _) in enumerate(self.against)]
        return rows


# --- scoring ------------------------------------------------------------------------------------


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

    def __init__(self, asked: Evaluation, prior: Float64 | None = None) -> None:
        """Open all; the prior may come later, but before a photo is scored."""
        self.asked = asked
        self.store = open_store(asked.photos)
        self.photos = photos_of(self.store)
        """All that are no results, also those that `skip` and `limit` leave out."""
        self.colorizers = [
            Colorizer(source, working_size=asked.working_size, threads=1)
            for _, source in asked.models
        ]
        self.folders = [Folder(name, path) for name, path in asked.against]
        self.rows = asked.rows([c.info for c in self.colorizers])
        self.weights: list[Float64] = []
        if prior is not None:
            self.weigh(prior)
        self.classifier = Classifier(asked.classifier, 1) if asked.classifier else None
        self.features = Features(asked.features, 1) if asked.features else None

    def weigh(self, prior: Float64) -> None:
        """Take a prior (313,) for the rebalanced columns."""
        self.weights = [metrics.class_weights(prior, x) for x in STRENGTHS]

    # --- from photo to results ---

    def original(self, i: int) -> RGB:
        """A photo of the store, uint8 (H, W, 3), reduced to the short side that was asked for."""
        return original(self.asked, self.store, i)

    def predictions(self, i: int, truth: RGB) -> dict[tuple[int, int], tuple[Prediction, float]]:
        """Each model's prediction for the photo made gray, and its seconds.

        By (model, number of hints). The hints of a photo are the same for all models, and a larger
        number begins with those of a smaller one.
        """
        gray, out = grayed(truth), {}
        hints = true_hints(truth, max(self.asked.hints), (self.asked.seed, i))
        for source, colorizer in enumerate(self.colorizers):
            for n in self.asked.hints:
                began = time.perf_counter()
                prediction = colorizer.predict(gray, hints[:n])
                out[source, n] = prediction, time.perf_counter() - began
        return out

    def results(
        self,
        i: int,
        truth: RGB,
        predictions: Mapping[tuple[int, int], tuple[Prediction, float]],
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
                rgb = self.folders[row.source].read(self.store.key(i), self.asked.short_side)
                if rgb.shape != truth.shape:
                    raise PhotoError(
                        f"{self.store.name(i)}: the result of {row.name} is not of its size"
                    )
            else:
                rgb = _rendered(predictions[row.source, row.hints][0], row)
            yield rgb, time.perf_counter() - began

    def _recolored(self, i: int, truth: RGB) -> RGB:
        """The photo with the ab of another one, stretched over it (the paper's "random")."""
        n = len(self.photos)
        if n < 2:
            raise PhotoError("the colors of another photo need a second photo")
        rng, here = np.random.default_rng((self.asked.seed, i)), self.photos.index(i)
        for _ in range(16):  # another one may be unreadable, or gray
            other = self.photos[(here + 1 + int(rng.integers(n - 1))) % n]
            try:
                rgb = resized(self.original(other), *truth.shape[:2])
            except PhotochromError:
                continue
            lab = color.rgb_to_lab(rgb)
            if not is_gray(lab):
                break
        else:
            raise PhotoError("no other photo has colors to take")
        fitted: RGB = color.fit_gamut(color.rgb_to_L(truth), lab[..., 1:], np.uint8)
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
        if is_gray(lab):
            raise PhotoError(f"{self.store.name(i)}: has no color of its own")
        nearest = bins.nearest_bin(lab[..., 1:])
        predictions = self.predictions(i, truth)
        sums = np.zeros((len(self.rows), len(COLUMNS)))
        errors = np.zeros((len(self.rows), 1 + len(STRENGTHS), _T))
        label = None if self.classifier is None else self.classifier.label(self._label(i))
        pictures: list[RGB] = []
        judged = {key: np.zeros(len(COLUMNS)) for key in predictions}
        for key, (prediction, _) in predictions.items():
            if not prediction.info.regression:
                judge_distribution(prediction, lab, Sums(judged[key]))
        for n, (rgb, spent) in enumerate(self.results(i, truth, predictions)):
            row, s = self.rows[n], Sums(sums[n])
            if row.kind == "model":  # all rows of a model share its distribution
                key = row.source, row.hints
                s.values[:] = judged[key]
                s["ms"], s["timed"] = 1e3 * (predictions[key][1] + spent), 1
            self._measure(rgb, truth, lab, nearest, s, errors[n])
            if label is not None or self.features is not None:
                pictures.append(rgb)
        if self.classifier is not None and label is not None:
            every = Sums(sums)
            every["labeled"], every["hit"] = 1, self.classifier.top(pictures) == label
        features = None if self.features is None else self.features(pictures)
        sweep = None
        if i in part.swept:
            # Without hints, or with as few as were asked for.
            plain = [predictions[m, min(self.asked.hints)][0] for m in range(len(self.colorizers))]
            sweep = self._sweep(truth, lab, nearest, plain)
        part.add(i, sums, errors, sweep, features)

    def _measure(
        self,
        rgb: RGB,
        truth: RGB,
        lab: NDArray[np.float32],
        nearest: NDArray[np.int64],
        s: Sums,
        errors: Float64 | None = None,
    ) -> None:
        """What compares a picture with the original, into the columns of a row.

        Without `errors`, the histograms to fill, only what the temperature sweep shows.
        """
        same = rgb is truth
        result = lab if same else color.rgb_to_lab(rgb)
        error = np.linalg.norm(result[..., 1:] - lab[..., 1:], axis=-1).astype(np.float64).ravel()
        share = np.minimum(error, metrics.THRESHOLDS) / metrics.THRESHOLDS
        s["photos"], s["pixels"], s["error"] = 1, error.size, share.sum()
        s["colorfulness"] = metrics.colorfulness(rgb)
        each = [w[nearest.ravel()] for w in self.weights]
        for strength, w in zip(STRENGTHS, each, strict=True):
            s[f"weight_{strength:g}"], s[f"error_{strength:g}"] = w.sum(), (w * share).sum()
        if errors is None:
            return
        cell = np.minimum(np.ceil(error), metrics.THRESHOLDS).astype(np.int64)
        for histogram, weights in zip(errors, (None, *each), strict=True):
            histogram[:] = np.bincount(cell, weights=weights, minlength=_T)
        s["psnr"] = min(metrics.psnr(rgb, truth), EXACT)
        s["delta_e"] = 0 if same else _mean_delta_e(result, lab)
        s["chroma"] = np.linalg.norm(result[..., 1:], axis=-1).sum(dtype=np.float64)

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
                    self._measure(rgb, truth, lab, nearest, Sums(out[m, j]))
            self._measure(truth, truth, lab, nearest, Sums(out[-1, j]))
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


def _mean_delta_e(lab: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """Mean CIEDE2000, some rows at a time: the formula has dozens of terms for every pixel."""
    rows = max(1, (1 << 16) // lab.shape[1])
    blocks = range(0, len(lab), rows)
    total = sum(metrics.delta_e_2000(lab[y : y + rows], truth[y : y + rows]).sum() for y in blocks)
    return float(total / (lab.shape[0] * lab.shape[1]))


def grayed(rgb: RGB) -> RGB:
    """The gray photo of the same lightness, uint8 (H, W): what a black-and-white film kept."""
    luminance = color.L_to_luminance(color.rgb_to_L(rgb))
    gray: RGB = color.from_unit(color.linear_to_srgb(luminance), np.uint8)
    return gray


def true_hints(rgb: RGB, count: int, seed: Sequence[int]) -> list[Hint]:
    """What a user who knows the colors would give: the true color at random places.

    The places are drawn evenly over the photo; the color is the mean of the pixels about the place,
    as far as a fortieth of the short side reaches, for nobody picks the color of a grain.

    Parameters
    ----------
    rgb : uint8 (H, W, 3), the photo in color
    count : how many
    seed : equal seeds give equal hints, and fewer are the first of more
    """
    rng = np.random.default_rng(seed)
    height, width = rgb.shape[:2]
    reach = min(height, width) // 80
    hints: list[Hint] = []
    for _ in range(count):
        y, x = int(rng.integers(height)), int(rng.integers(width))
        near = rgb[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        hints.append((x, y, near.reshape(-1, 3).mean(axis=0).tolist()))
    return hints


def _rendered(prediction: Prediction, row: Row) -> RGB:
    if row.rebalance != 1 and not prediction.info.regression:
        # A network trained with class weights w learns p w; this leaves p w^rebalance.
        off = (1 - row.rebalance) * prediction.info.log_weights
        prediction = replace(prediction, logits=prediction.logits - off[:, None, None])
    rgb: RGB = prediction.render(row.temperature)
    return rgb


def judge_distribution(prediction: Prediction, lab: NDArray[np.float32], s: Sums) -> None:
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
    s["distributions"] = 1
    s["nll"] = -of_truth.mean(dtype=np.float64) / np.log(2)
    p = np.exp(log_p)
    s["entropy"] = -(p * log_p).sum(axis=0).mean(dtype=np.float64) / np.log(2)
    for what, probabilities, weights in (
        ("count", p, None),
        ("stated", p, p),
        ("hit", np.exp(of_truth), None),
    ):
        flat = np.minimum(probabilities.ravel(), 1)
        counts, _ = np.histogram(flat, CELLS, weights=None if weights is None else weights.ravel())
        # By pixel, so that every photo counts the same whatever its size.
        s.cells(what)[:] = counts / (h * w)


# --- photos and results in folders ---------------------------------------------------------------


def open_store(photos: Sequence[str]) -> PhotoStore:
    """The photos to measure.

    Raises
    ------
    DataError
        One is no folder or shard, or two photos have one name, so that results could not be told
        apart.
    """
    for path in photos:
        if Path(path).suffix.lower() in PHOTO_SUFFIXES and Path(path).is_file():
            raise DataError(f"{path}: is a single photo; give the folder that it lies in")
    store = PhotoStore(photos)
    seen: dict[str, int] = {}
    for i in range(len(store)):
        if seen.setdefault(store.key(i), i) != i:
            raise DataError(
                f"{store.name(i)}: has the same name as {store.name(seen[store.key(i)])}; "
                "rename or remove one of them"
            )
    return store


def original(asked: Evaluation, store: PhotoStore, i: int) -> RGB:
    """A photo, uint8 (H, W, 3), as large as it is measured."""
    return _read(store, i, asked.short_side)


MOST_PIXELS = 8_000_000
"""Of a photo that is measured as large as it is: a worker needs 200 bytes for each."""


def _read(store: PhotoStore, i: int, short_side: int) -> RGB:
    """Decoded and reduced to the short side (0: not), uint8 (H, W, 3); alpha is left out."""
    pixels = to_uint8(decode_photo(store.read(i), store.name(i)).pixels)
    height, width = pixels.shape[:2]
    short = min(height, width)
    if short < 4:
        raise PhotoError(f"{store.name(i)}: {width} x {height} pixels are too few to be measured")
    if not short_side and height * width > MOST_PIXELS:
        raise PhotoError(
            f"{store.name(i)}: {width} x {height} pixels are more than the {MOST_PIXELS / 1e6:g} "
            "million that are measured unreduced; reduce it, for example by --short-side 2048"
        )
    if 0 < short_side < short:
        scale = short_side / short
        pixels = resized(pixels, max(1, round(height * scale)), max(1, round(width * scale)))
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


COLORED = ".color"
"""`photochrom colorize` calls the result beside cat.jpg cat.color.jpg."""


def photos_of(store: PhotoStore) -> list[int]:
    """The photos of a store, without those that `photochrom colorize` made of another one."""
    keys = [store.key(i) for i in range(len(store))]
    known = frozenset(keys)
    return [
        i
        for i, key in enumerate(keys)
        if not (key.endswith(COLORED) and key.removesuffix(COLORED) in known)
    ]


class Folder:
    """Results that somebody made of the photos, found by name."""

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.store = open_store([path])
        self.places = {self.store.key(i): i for i in range(len(self.store))}

    def read(self, key: str, short_side: int) -> RGB:
        """The result for a photo. Raises PhotoError where there is none or it cannot be read."""
        place = self.places.get(key + COLORED, self.places.get(key))
        if place is None:
            raise PhotoError(f"{key}: {self.name} has no result of this name")
        return _read(self.store, place, short_side)


_WORDNET = re.compile(r"n\d{8}")


def label_of(key: str, in_shard: bool) -> str:
    """The class that a photo's name says: a WordNet id at the key's end, or its folder's name."""
    last = key.rsplit("-", 1)[-1]
    if in_shard and _WORDNET.fullmatch(last):
        return last
    return PurePosixPath(key).parent.name
