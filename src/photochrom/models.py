"""Model files: the table of bundled models, and any ONNX file from `photochrom export`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photochrom.errors import ModelError
from photochrom.model_check import MOST_BYTES, check_model
from photochrom.runtime import onnxruntime

__all__ = ["BundledModel", "DEFAULT", "MODELS", "Model", "ModelInfo", "load_model"]

WEIGHTS = Path(__file__).parent / "weights"
FORMAT = 1
"""Version of the metadata below; files with another version are refused."""
METADATA_KEY = "photochrom"
STRIDE = 4
"""Pixels of the input along the side of a logit; a file may say 1 or 2 instead."""
MAX_SIZE = 1024


@dataclass(frozen=True)
class BundledModel:
    """One row of the table of bundled models."""

    name: str
    file: str
    sha256: str
    license: str
    about: str


MODELS = (
    BundledModel(
        name="photochrom-1",
        file="photochrom-1.onnx",
        sha256="a9e5150d22e9a4347147d76ad1c2fe85a47c6616753e056bdd2effbe96f317c8",
        license="Apache-2.0",
        about="EfficientNet-Lite encoder, attention, 313 colors; general photographs",
    ),
    BundledModel(
        name="photochrom-1-small",
        file="photochrom-1-small.onnx",
        sha256="41cc7f194b51cdd1ed63db6d3c5ba2b176aace45b3d030420378a679e97e2d20",
        license="Apache-2.0",
        about="photochrom-1 with 4-bit instead of 16-bit weights: nearly the same colors",
    ),
)
DEFAULT = MODELS[0].name


@dataclass(frozen=True)
class ModelInfo:
    """What a model file says about itself."""

    name: str
    arch: str
    version: str
    """The version of photochrom that exported it."""
    license: str
    training_data: str
    channels: int
    """4 (L, a and b of the hints, mask, in this order) or 1 (L alone)."""
    multiple: int
    """Sides of the input are multiples of this."""
    L_center: float
    L_scale: float
    """The network sees (L - L_center) / L_scale."""
    ab_scale: float
    """Hints are ab / ab_scale, and 0 where there is none."""
    working_size: int
    """Short side of the input, in pixels, unless the user sets another."""
    bins: NDArray[np.float32]
    """(Q, 2) ab of each logit. Empty for a regression, whose two outputs are ab / ab_scale."""
    log_weights: NDArray[np.float32]
    """(Q,) how much rebalancing raised each logit. Subtract it for honest probabilities."""
    stride: int = STRIDE
    """Pixels of the input along the side of a logit: 1, 2 or 4."""
    hint_mask: tuple[float, float] = (0.0, 1.0)
    """The mask's value where there is no hint, and where there is one."""
    unknown_rebalancing: bool = False
    """Trained with class weights that the file does not know: `log_weights` are zeros, and the
    probabilities favor rare colors."""
    caution: tuple[float, float] | None = None
    """Entropies in bits between which renderings fade the rebalancing out: kept whole where the
    model is surer than the first, and not at all where it is less sure than the second. Muted beats
    vivid where the model guesses. None: kept whole everywhere."""

    @property
    def regression(self) -> bool:
        """Whether the outputs are ab itself rather than a distribution over bins."""
        return len(self.bins) == 0

    @property
    def about_probabilities(self) -> str:
        """What the probabilities are of, in a few words for the user."""
        if self.regression:
            return "a regression: it has no probabilities"
        if self.unknown_rebalancing:
            return (
                "probabilities favor rare colors: the class weights of its training are not in the "
                "file (import the checkpoint with --prior)"
            )
        if self.log_weights.any():
            return "probabilities are corrected for the class weights used in training"
        return "trained without class weights"

    def to_json(self) -> str:
        """The metadata of an exported file.

        Values that most files share are left out, so that older versions can read those files.
        """
        values = dict(vars(self), format=FORMAT)
        for field in dataclasses.fields(self):
            if field.default is not dataclasses.MISSING and values[field.name] == field.default:
                del values[field.name]
        values["bins"] = np.round(self.bins.astype(np.float64), 4).tolist()
        values["log_weights"] = np.round(self.log_weights.astype(np.float64), 5).tolist()
        return json.dumps(values)

    @classmethod
    def from_json(cls, text: str) -> ModelInfo:
        """The reverse of `to_json`.

        Raises
        ------
        ValueError
            A value is missing, of the wrong type, or out of range.
        """
        try:
            values: Any = json.loads(text)
        except RecursionError:
            raise ValueError("metadata is nested too deeply") from None
        if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
            raise ValueError(f"metadata format is not {FORMAT}")
        for name, kinds in _KINDS.items():
            if type(values.get(name)) not in kinds:
                raise ValueError(f"metadata has no usable {name}")
        try:
            bins = np.array(values["bins"], dtype=np.float32).reshape(-1, 2)
            weights = np.array(values["log_weights"], dtype=np.float32)
            off, on = values.get("hint_mask", cls.hint_mask)
            mask = float(off), float(on)
            caution = values.get("caution")
            if caution is not None:
                sure, unsure = (float(bits) for bits in caution)
                caution = sure, unsure
            kept = {"bins": bins, "log_weights": weights, "hint_mask": mask, "caution": caution}
            info = cls(**{**values, **kept})
        except (TypeError, KeyError, ValueError, OverflowError) as error:
            raise ValueError(f"metadata is incomplete: {error}") from error
        sane = (
            info.channels in (1, 4)
            and 1 <= info.multiple <= 128
            and info.multiple % STRIDE == 0
            and info.stride in (1, 2, 4)
            and isinstance(info.unknown_rebalancing, bool)
            and all(math.isfinite(v) for v in mask)
            and mask[0] != mask[1]
            and all(math.isfinite(v) and v > 0 for v in (info.L_scale, info.ab_scale))
            and math.isfinite(info.L_center)
            and info.working_size % info.multiple == 0
            and 0 < info.working_size <= MAX_SIZE
            and np.isfinite(bins).all()
            and np.isfinite(weights).all()
            and weights.shape == (len(bins),)
            and (info.caution is None or 0 <= info.caution[0] < info.caution[1] < math.inf)
        )
        if not sane:
            raise ValueError("metadata is out of range")
        return info


_NUMBER = (int, float)
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("name", "arch", "version", "license", "training_data"), (str,)),
    **dict.fromkeys(("channels", "multiple", "working_size"), (int,)),
    **dict.fromkeys(("L_center", "L_scale", "ab_scale"), _NUMBER),
    **dict.fromkeys(("bins", "log_weights"), (list,)),
}


class Model:
    """An ONNX network and what it says about itself.

    Parameters
    ----------
    path : an .onnx file written by `photochrom export` or `photochrom import`
    device : "cpu" or "cuda"
    threads : cores to use on the CPU; 0 for all
    label : how errors begin; the path when None

    Raises
    ------
    ModelError
        The file is missing, damaged or not ours, or the device is not available.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        device: str = "cpu",
        threads: int = 0,
        *,
        label: str | None = None,
    ) -> None:
        self.path, self._device, self._threads = Path(path), device, threads
        self._label = label or str(path)
        if not self.path.is_file():
            known = ", ".join(m.name for m in MODELS)
            raise ModelError(
                f"{self._label}: no such model file", f"the bundled models are: {known}"
            )
        data = _checked(self.path, self._label)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = threads
        # Convert weights of 4 and 8 bits to floats once, now, rather than in each run.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        try:
            self.session = onnxruntime.InferenceSession(data, options, providers=_providers(device))
        except ModelError:
            raise
        except Exception as error:  # ONNX Runtime raises a class of its own for each kind of damage
            raise ModelError(
                f"{self._label}: cannot be loaded as a model ({type(error).__name__})",
                "the file is damaged or is not ONNX",
            ) from error
        text = _text(self.session, self._label)
        if text is None:
            raise ModelError(
                f"{self._label}: is not a photochrom model",
                "write one with `photochrom export` or `photochrom import`",
            )
        try:
            self.info = ModelInfo.from_json(text)
        except ValueError as error:
            raise ModelError(f"{self._label}: cannot be used: {error}") from error
        self._input = self._only_input()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "device": self._device, "threads": self._threads}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def _only_input(self) -> str:
        """The name of the input; ModelError unless inputs and outputs are as in our models."""
        (taken, channels), (given, depth) = (
            (self.session.get_inputs(), self.info.channels),
            (self.session.get_outputs(), len(self.info.bins) or 2),
        )
        for found, count in ((taken, channels), (given, depth)):
            fits = (
                len(found) == 1
                and found[0].type == "tensor(float)"
                and len(found[0].shape) == 4
                and (not isinstance(found[0].shape[1], int) or found[0].shape[1] == count)
            )
            if not fits:
                raise ModelError(
                    f"{self._label}: its inputs and outputs are not those of a photochrom model",
                    "write one with `photochrom export` or `photochrom import`",
                )
        return str(taken[0].name)

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the file."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (Q, H/s, W/s) of a normalized input (channels, H, W).

        H and W are multiples of `ModelInfo.multiple`, and s is the `stride`, 4 for most networks. A
        regression returns ab / ab_scale, (2, H/s, W/s).

        Raises
        ------
        ModelError
            The network fails, or its output is not as expected.
        """
        try:
            output = self.session.run(None, {self._input: x[None]})[0]
        except Exception as error:
            raise ModelError(
                f"{self._label}: failed to run: {' '.join(str(error).split())}"
            ) from error
        stride = self.info.stride
        expected = (1, len(self.info.bins) or 2, x.shape[1] // stride, x.shape[2] // stride)
        logits = np.asarray(output, dtype=np.float32)
        if logits.shape != expected or not np.isfinite(logits).all():
            raise ModelError(
                f"{self._label}: returned {logits.shape} rather than finite {expected}",
                "the file may be damaged",
            )
        first: NDArray[np.float32] = logits[0]
        return first


def _checked(path: Path, label: str) -> bytes:
    """The bytes of a file that is safe to load."""
    try:
        with path.open("rb") as file:
            # A read takes its memory at once: no more than the file has.
            data = file.read(min(os.fstat(file.fileno()).st_size, MOST_BYTES) + 1)
        check_model(data)
    except OSError as error:
        raise ModelError(f"{label}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ModelError(
            f"{label}: cannot be loaded as a model: it {error}",
            "write one with `photochrom export` or `photochrom import`",
        ) from error
    return data


def _text(session: Any, label: str) -> str | None:
    """What a model says about itself, as text; None if it says nothing."""
    try:
        text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    except Exception as error:  # text that is not UTF-8, for one
        raise ModelError(f"{label}: its metadata is damaged") from error
    return None if text is None else str(text)


def _providers(device: str) -> list[str]:
    if device == "cpu":
        return ["CPUExecutionProvider"]
    if device == "cuda":
        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            raise ModelError(
                "device cuda: not available", "run pip install onnxruntime-gpu, or use cpu"
            )
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]
    raise ModelError(f"device {device!r}: must be cpu or cuda")


def load_model(
    model: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    threads: int = 0,
    *,
    weights: Path = WEIGHTS,
) -> Model:
    """Load a bundled model by its name (None for the default), or a file by its path.

    Parameters
    ----------
    model : name or path
    device, threads : see `Model`
    weights : the folder of the bundled models

    Raises
    ------
    ModelError
        See `Model`. Also, a bundled file is not the one that was released.
    """
    name = DEFAULT if model is None else os.fspath(model)
    for row in MODELS:
        if row.name == name:
            path = weights / row.file
            if not path.is_file():
                raise ModelError(f"{path}: the bundled model is missing", "reinstall photochrom")
            if hashlib.sha256(path.read_bytes()).hexdigest() != row.sha256:
                raise ModelError(f"{path}: is not the released file", "reinstall photochrom")
            return Model(path, device, threads)
    return Model(name, device, threads)
