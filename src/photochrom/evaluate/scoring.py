"""From a photo to its sums: made gray, colored in every way, compared with the original.

A `Scorer` holds the models and scores photos one by one; a `Part` is what some photos came to, as
it is stored and added up. `evaluate` does the rest with many photos.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from photochrom.arrays import RGB, Float64
from photochrom.color import bins, metrics
from photochrom.color.lab import fit_gamut, is_gray, rgb_to_L, rgb_to_lab
from photochrom.color.resize import area_shrink
from photochrom.colorizer import Colorizer
from photochrom.errors import DataError, PhotochromError, PhotoError
from photochrom.evaluate.figures import (
    CANDIDATES,
    CELLS,
    COLUMNS,
    EXACT,
    SATURATIONS,
    STRENGTHS,
    Sums,
)
from photochrom.evaluate.judges import Classifier, Features, PerceptualDistance
from photochrom.evaluate.part import Part, T, Tally
from photochrom.evaluate.photos import Folder, grayed, open_store, original, photos_of, true_hints
from photochrom.evaluate.question import TEMPERATURES, Evaluation, Row
from photochrom.evaluate.similarity import require_skimage, ssim
from photochrom.naming import label_of
from photochrom.photo.pictures import resized
from photochrom.prediction import Prediction

__all__ = ["Scorer"]


class Scorer:
    """Scores photos of one evaluation; each worker process has one.

    Raises
    ------
    ModelError, DataError
        A model, a folder or a network that judges cannot be used.
    """

    def __init__(self, asked: Evaluation, prior: Float64 | None = None) -> None:
        """Open everything; the prior may come later, but before a photo is scored."""
        self.asked = asked
        self.store = open_store(asked.photos)
        self.photos = photos_of(self.store)
        """All photos that are not results, including those that `skip` and `limit` leave out."""
        self.colorizers = [
            Colorizer(source, working_size=asked.working_size, threads=1)
            for _, source in asked.models
        ]
        self.folders = [Folder(name, path) for name, path in asked.against]
        self.rows = asked.rows([c.info for c in self.colorizers])
        self.weights: list[Float64] = []
        if prior is not None:
            self.weigh(prior)
        if asked.ssim:
            require_skimage()
        self.classifier = Classifier(asked.classifier, 1) if asked.classifier else None
        self.features = Features(asked.features, 1) if asked.features else None
        self.distance = PerceptualDistance(asked.distance, 1) if asked.distance else None

    def weigh(self, prior: Float64) -> None:
        """Take a prior (313,) for the rebalanced columns."""
        self.weights = [metrics.class_weights(prior, x) for x in STRENGTHS]

    # --- from photo to results ---

    def original(self, i: int) -> RGB:
        """A photo of the store, uint8 (H, W, 3), at the size at which it is measured."""
        return original(self.asked, self.store, i)

    def predictions(self, i: int, truth: RGB) -> dict[tuple[int, int], tuple[Prediction, float]]:
        """Each model's prediction for the gray photo, and how many seconds it took.

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
        """The photo as each row colors it, uint8 (H, W, 3), and the seconds for rendering it."""
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
                        f"{self.store.name(i)}: the result of {row.name} has another size"
                    )
            else:
                rgb = _rendered(predictions[row.source, row.hints][0], row)
            yield rgb, time.perf_counter() - began

    def _recolored(self, i: int, truth: RGB) -> RGB:
        """The photo with the ab of another one, stretched to its size (the paper's "random")."""
        n = len(self.photos)
        if n < 2:
            raise PhotoError("the random row needs a second photo to take colors from")
        rng, here = np.random.default_rng((self.asked.seed, i)), self.photos.index(i)
        for _ in range(16):  # the other one may be unreadable, or gray
            other = self.photos[(here + 1 + int(rng.integers(n - 1))) % n]
            try:
                rgb = resized(self.original(other), *truth.shape[:2])
            except PhotochromError:
                continue
            lab = rgb_to_lab(rgb)
            if not is_gray(lab):
                break
        else:
            raise PhotoError("no other photo has colors to take")
        fitted: RGB = fit_gamut(rgb_to_L(truth), lab[..., 1:], np.uint8)
        return fitted

    # --- from results to sums ---

    def score(self, i: int, part: Tally) -> None:
        """Add a photo; adds nothing if it cannot be read or colored.

        Raises
        ------
        PhotochromError
        """
        truth = self.original(i)
        lab = rgb_to_lab(truth)
        if is_gray(lab):
            raise PhotoError(f"{self.store.name(i)}: has no color of its own")
        nearest = bins.nearest_bin(lab[..., 1:])
        predictions = self.predictions(i, truth)
        sums = np.zeros((len(self.rows), len(COLUMNS)))
        errors = np.zeros((len(self.rows), 1 + len(STRENGTHS), T))
        label = None if self.classifier is None else self.classifier.label(self._label(i))
        pictures: list[RGB] = []
        judged = {key: np.zeros(len(COLUMNS)) for key in predictions}
        for key, (prediction, _) in predictions.items():
            if not prediction.info.regression:
                judge_distribution(prediction, lab, Sums(judged[key]))
                judge_candidates(prediction, lab, self.asked.seed, Sums(judged[key]))
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
            # Without hints, or with as few as the settings allow.
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
        """Compare a picture with the original, into the columns of a row.

        Without `errors`, the histograms to fill, only what the temperature sweep shows.
        """
        same = rgb is truth
        result = lab if same else rgb_to_lab(rgb)
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
            histogram[:] = np.bincount(cell, weights=weights, minlength=T)
        s.invent(metrics.invented(result[..., 1:], lab[..., 1:]))
        if self.asked.ssim:
            s["ssim"], s["compared"] = ssim(rgb, truth), 1
        if self.distance is not None:
            s["lpips"], s["perceived"] = self.distance(rgb, truth), 1
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
        """Score some photos; a photo that fails is skipped with its reason."""
        tally = Tally(len(self.rows), len(self.colorizers), swept)
        for i in photos:
            try:
                self.score(i, tally)
            except (PhotoError, DataError) as error:
                tally.skipped.append((self.store.key(i), str(error)))
        return tally.part()


def _mean_delta_e(lab: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """Mean CIEDE2000, a few rows at a time: the formula has dozens of terms for each pixel."""
    rows = max(1, (1 << 16) // lab.shape[1])
    blocks = range(0, len(lab), rows)
    total = sum(metrics.delta_e_2000(lab[y : y + rows], truth[y : y + rows]).sum() for y in blocks)
    return float(total / (lab.shape[0] * lab.shape[1]))


def _rendered(prediction: Prediction, row: Row) -> RGB:
    if row.rebalance != 1 and not prediction.info.regression:
        # A network trained with class weights w learns p w; this leaves p w^rebalance.
        whole, info = prediction.info.log_weights, prediction.info
        logits = prediction.logits - (1 - row.rebalance) * whole[:, None, None]
        info = replace(info, log_weights=row.rebalance * whole)
        rebalanced = replace(prediction.distribution, logits=logits, info=info)
        prediction = replace(prediction, distribution=rebalanced)
    rgb: RGB = prediction.render(row.temperature)
    return rgb


def judge_distribution(prediction: Prediction, lab: NDArray[np.float32], s: Sums) -> None:
    """Likelihood of the true bins, entropy, and how often the bins of each probability are true."""
    log_p = prediction.log_probabilities()
    h, w = log_p.shape[1:]
    ab = _shrunk_ab(lab, (h, w))
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
        # Per pixel, so that a photo counts the same whatever its size.
        s.cells(what)[:] = counts / (h * w)


def judge_candidates(prediction: Prediction, lab: NDArray[np.float32], seed: int, s: Sums) -> None:
    """How near the nearest of several colorings is, and how far they are from each other."""
    plain = prediction.distribution.ab()
    truth = _shrunk_ab(lab, plain.shape[:2])
    drawn = prediction.distribution.candidates(CANDIDATES - 1, seed)
    colorings = [plain, *(one.ab() for one in drawn)]
    s["varied"] = 1
    s["nearest"] = min(_mean_distance(ab, truth) for ab in colorings)
    s["nearest_saturated"] = min(_mean_distance(x * plain, truth) for x in SATURATIONS)
    s["apart"] = np.mean([_mean_distance(a, b) for a, b in combinations(colorings, 2)])


def _mean_distance(ab: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(ab - other, axis=-1).mean(dtype=np.float64))


def _shrunk_ab(lab: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    return np.stack([area_shrink(lab[..., c], size) for c in (1, 2)], axis=-1)
