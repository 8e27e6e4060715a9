"""Networks that judge colorings, ONNX files of the user: a classifier, features, a distance.

The first two say how they want their pictures in a JSON object, either in their metadata under the
key `photochrom.judge` or in a file beside them with `.json` appended to its name:

    {"size": 224, "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375],
     "crop": true, "classes": ["n01440764", ...]}

The network gets (1, 3, size, size) float32, RGB, (value in 0..255 - mean) / std. With `crop` the
short side is brought to the size and the center cut out, without it the picture is squeezed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photochrom.arrays import RGB
from photochrom.errors import DependencyError, ModelError
from photochrom.photo.pictures import resized
from photochrom.runtime import onnxruntime

__all__ = ["Classifier", "Features", "PerceptualDistance", "frechet_distances", "judge_digest"]

KEY = "photochrom.judge"


class _Judge:
    """An ONNX network (1, 3, size, size) -> (1, n), with the description of its input.

    Raises
    ------
    ModelError
        The file is missing or damaged, or does not say what it wants.
    """

    def __init__(self, path: str | os.PathLike[str], threads: int = 0) -> None:
        self.path = Path(path)
        self._session = _loaded(self.path, threads)
        wishes = self._wishes()
        try:
            self.size = int(wishes["size"])
            self.mean, self.std = (
                np.broadcast_to(np.array(wishes[key], np.float32), 3).reshape(3, 1, 1)
                for key in ("mean", "std")
            )
            self.crop = bool(wishes.get("crop", True))
            self.classes = wishes.get("classes", [])
            finite = np.isfinite(self.mean).all() and np.isfinite(self.std).all()
            if not 0 < self.size <= 2048 or not finite or not (self.std > 0).all():
                raise ValueError("size, mean or std out of range")
            named = isinstance(self.classes, list) and all(isinstance(c, str) for c in self.classes)
            if not named or len(set(self.classes)) < len(self.classes):
                raise ValueError("classes must be a list of distinct names")
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{self.path}: its description of its input is wrong: {error}") from (
                error
            )
        self._input = self._session.get_inputs()[0].name

    def _wishes(self) -> dict[str, Any]:
        text = self._session.get_modelmeta().custom_metadata_map.get(KEY)
        beside = _beside(self.path)
        try:
            if text is None:
                text = beside.read_text()
            wishes = json.loads(text)
        except (OSError, ValueError):
            wishes = None
        if not isinstance(wishes, dict):
            raise ModelError(
                f"{self.path}: does not describe its input",
                f'write {beside.name} beside it: {{"size": 224, "mean": [...], "std": [...], '
                '"classes": [...]}',
            )
        return wishes

    def outputs(self, pictures: Sequence[RGB]) -> NDArray[np.float32]:
        """The network's answers, (pictures, n)."""
        rows = []
        for picture in pictures:
            x = (self._framed(picture).astype(np.float32).transpose(2, 0, 1) - self.mean) / self.std
            rows.append(_answer(self.path, self._session, {self._input: x[None]}))
        return np.stack(rows)

    def _framed(self, picture: RGB) -> RGB:
        height, width = picture.shape[:2]
        if not self.crop:
            return resized(picture, self.size, self.size)
        scale = self.size / min(height, width)
        larger = resized(
            picture,
            max(self.size, round(height * scale)),
            max(self.size, round(width * scale)),
        )
        top, left = ((side - self.size) // 2 for side in larger.shape[:2])
        return larger[top : top + self.size, left : left + self.size]


class Classifier(_Judge):
    """Classifies pictures, for the paper's semantic test (section 3.1)."""

    def __init__(self, path: str | os.PathLike[str], threads: int = 0) -> None:
        super().__init__(path, threads)
        if not self.classes:
            raise ModelError(
                f"{self.path}: does not list its classes, so its answers cannot be read",
                'add "classes" to its description',
            )
        self._index = {name: i for i, name in enumerate(self.classes)}

    def label(self, name: str) -> int | None:
        """Index of a class; None if the classifier does not know it."""
        return self._index.get(name)

    def top(self, pictures: Sequence[RGB]) -> NDArray[np.int64]:
        """Index of the likeliest class of each picture, int64 (pictures,)."""
        outputs = self.outputs(pictures)
        if outputs.shape[1] != len(self.classes):
            raise ModelError(
                f"{self.path}: has {outputs.shape[1]} outputs but lists {len(self.classes)} classes"
            )
        top: NDArray[np.int64] = outputs.argmax(axis=1)
        return top


class Features(_Judge):
    """Features of a picture, for the Fréchet distance; with Inception-v3, it is FID.

    Raises
    ------
    DependencyError
        TorchMetrics, which computes the distance, is not installed.
    """

    def __init__(self, path: str | os.PathLike[str], threads: int = 0) -> None:
        try:
            import torchmetrics  # noqa: F401
        except ImportError:
            raise DependencyError(
                "FID needs TorchMetrics", "run pip install 'photochrom[fid]'"
            ) from None
        super().__init__(path, threads)

    @property
    def protocol(self) -> str:
        """How the features are made, in words."""
        how = "short side enlarged or reduced to it, center cut out" if self.crop else "squeezed"
        return (
            f"features of {self.path.name} (sha256 {judge_digest(self.path)[:12]}) on "
            f"{self.size} x {self.size} pixels, {how}"
        )

    def __call__(self, pictures: Sequence[RGB]) -> NDArray[np.float32]:
        """Features, (pictures, width)."""
        return self.outputs(pictures)


class PerceptualDistance:
    """Distance of two pictures by a network of two inputs, such as LPIPS.

    Its inputs are (1, 3, H, W) float32, RGB from -1 to 1, its output is one number: so the authors'
    package `lpips` has them.

    Raises
    ------
    ModelError
        The file is missing or damaged, or does not compare two pictures.

    Source: Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric",
    2018.
    """

    def __init__(self, path: str | os.PathLike[str], threads: int = 0) -> None:
        self.path = Path(path)
        self._session = _loaded(self.path, threads)
        self._inputs = [i.name for i in self._session.get_inputs()]
        if len(self._inputs) != 2:
            raise ModelError(
                f"{self.path}: has {len(self._inputs)} input{'s' * (len(self._inputs) != 1)}, but "
                "a network that compares has two",
                "export it as docs/how-to/evaluate.md shows",
            )

    @property
    def protocol(self) -> str:
        """Which network compares, in words."""
        return f"{self.path.name} (sha256 {judge_digest(self.path)[:12]})"

    def __call__(self, rgb: RGB, truth: RGB) -> float:
        """The distance of two pictures, uint8 (H, W, 3); 0 for equal ones."""
        pair = (p.astype(np.float32).transpose(2, 0, 1)[None] / 127.5 - 1 for p in (rgb, truth))
        answer = _answer(self.path, self._session, dict(zip(self._inputs, pair, strict=True)))
        if answer.size != 1:
            raise ModelError(f"{self.path}: gives {answer.size} numbers, not one distance")
        return float(answer[0])


def _loaded(path: Path, threads: int) -> Any:
    """A session of ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has many, none of them public
        raise ModelError(
            f"{path}: cannot be loaded as an ONNX network ({type(error).__name__})"
        ) from error


def _answer(path: Path, session: Any, inputs: dict[str, NDArray[np.float32]]) -> NDArray[Any]:
    """A network's first output, flat."""
    try:
        (answer,) = session.run(None, inputs)[:1]
    except Exception as error:
        raise ModelError(f"{path}: failed to run: {' '.join(str(error).split())}") from error
    flat = np.asarray(answer, np.float32).ravel()
    if not np.isfinite(flat).all():
        raise ModelError(f"{path}: returned values that are not finite", "the file may be damaged")
    return flat


def judge_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a network's file together with the JSON file beside it."""
    digest = hashlib.sha256()
    for file in (Path(path), _beside(Path(path))):
        if file.is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def frechet_distances(
    parts: Callable[[], Iterable[NDArray[np.float32]]],
) -> tuple[float, ...]:
    """Fréchet distance of each row's features from those of the first row.

    Parameters
    ----------
    parts : gives arrays (photos, rows, width), one at a time, as often as it is called

    Returns
    -------
    (rows,), the first 0; NaN for fewer than two photos

    Source: Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash
    equilibrium", 2017; computed by TorchMetrics.
    """
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance

    class Given(torch.nn.Module):
        """Returns its input, which is features already."""

        def __init__(self, width: int) -> None:
            super().__init__()
            self.num_features = width

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    photos, rows, width = 0, 0, 0
    for part in parts():
        photos, rows, width = photos + len(part), part.shape[1], max(width, part.shape[2])
    if photos < 2:
        return (float("nan"),) * rows
    distances = [0.0]
    fid = FrechetInceptionDistance(Given(width), reset_real_features=False)
    for row in range(rows):
        fid.reset()
        for part in parts():
            if len(part):
                fid.update(torch.from_numpy(part[:, row]), real=row == 0)
        if row:
            distances.append(float(fid.compute()))
    return tuple(distances)
