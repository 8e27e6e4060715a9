"""From a network to one ONNX file that `Colorizer` opens; see `published` for others' networks.

Weights are stored in 32, 16, 8 or 4 bits and computed with in 32. The file is written only after
its results on photos were compared with those of the PyTorch network.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from photochrom._version import __version__
from photochrom.color import bins
from photochrom.dataset.decode import decode
from photochrom.dataset.store import PhotoStore
from photochrom.errors import ConfigError, DataError, DependencyError, ModelError
from photochrom.files import whole
from photochrom.models import MAX_SIZE, METADATA_KEY, Model, ModelInfo
from photochrom.train.checkpoint import PRIOR, SOURCES, load_prior, load_run
from photochrom.train.config import AB_SCALE, TrainConfig
from photochrom.train.lab import rgb_to_lab
from photochrom.train.networks import output_layer
from photochrom.train.quantize import OPSET, quantize
from photochrom.train.restore import restore, share_left

__all__ = ["Comparison", "ExportOptions", "export_run", "info_of", "write_model"]

MAX_MEAN_AB = {32: 0.001, 16: 0.15, 8: 0.5, 4: 1.5}
"""Largest mean distance in ab, over the photos compared, that weights of so many bits may make."""
MAX_AB = {32: 0.02, 16: 3.0, 8: 10.0, 4: 40.0}
"""Largest distance in ab at any pixel; the color difference that is just visible is about 2.3. A
pixel between two colors as likely may go from one to the other."""
MAX_LOGIT = {32: 1e-4}
"""Largest distance of a logit, or of a regression's ab / 110: nothing is rounded in 32 bits."""

MOST_REBALANCE = 4
"""With a lambda near 1 the weights are mild; more than once of them may be wanted."""

NOT_STATED = "not stated"

_SHORT_SIDE = 256
"""Of photos to compare on, pixels."""
_OPSET = 18
_TO_COMPARE, _TO_QUANTIZE = 12, 64
"""Photos; other ones where there are enough."""


@dataclass(frozen=True)
class Comparison:
    """The file's results against PyTorch's: distance in ab at the default temperature."""

    photos: int
    mean_ab: float
    max_ab: float
    max_logit: float
    bits: int = 16
    """Of the weights in the file."""

    @property
    def close(self) -> bool:
        """Whether all distances are in bounds; NaN is not."""
        return (
            self.mean_ab <= MAX_MEAN_AB[self.bits]
            and self.max_ab <= MAX_AB[self.bits]
            and self.max_logit <= MAX_LOGIT.get(self.bits, math.inf)
        )

    def __str__(self) -> str:
        mean, most = MAX_MEAN_AB[self.bits], MAX_AB[self.bits]
        limit = f" (allowed: {MAX_LOGIT[self.bits]:g})" if self.bits in MAX_LOGIT else ""
        return (
            f"against PyTorch on {self.photos} photos: ab differs by {self.mean_ab:.4f} on average "
            f"and {self.max_ab:.3f} at most (allowed with {self.bits} bits: {mean} and {most}); "
            f"logits by {self.max_logit:.2g} at most{limit}"
        )


@dataclass(frozen=True)
class ExportOptions:
    """What the file is to state and hold.

    None stands for what the run says or, if a file is exported, for what that file says.

    Raises
    ------
    ConfigError
        A number is out of range.
    """

    name: str | None = None
    """Of the model; None for the new file's stem."""
    rebalance: float | None = None
    """How much of the class rebalancing to keep, from 0 to 4; 1 is as trained. A network trained
    with class weights w learns p w; its logits minus (1 - rebalance) log w are those of
    p w^rebalance."""
    caution: tuple[float, float] | None = None
    """Entropies in bits between which renderings fade the rebalancing out (`ModelInfo.caution`)."""
    working_size: int | None = None
    """Default short side of the input, pixels; of a run, the last training size."""
    license: str | None = None
    training_data: str | None = None
    bits: int = 16
    """Of the weights: 32 or 16, or 8 or 4 on average."""
    force: bool = False
    """Replace an existing file."""

    def __post_init__(self) -> None:
        if self.rebalance is not None and not 0 <= self.rebalance <= MOST_REBALANCE:
            raise ConfigError(f"rebalance = {self.rebalance}: must be from 0 to {MOST_REBALANCE}")
        if self.caution is not None and not 0 <= self.caution[0] < self.caution[1] < math.inf:
            raise ConfigError(
                f"caution = {self.caution}: must be two entropies in bits, the smaller first"
            )
        if self.bits not in MAX_AB:
            raise ConfigError(f"weights of {self.bits} bits: must be 32, 16, 8 or 4")
        if self.working_size is not None and not 0 < self.working_size <= MAX_SIZE:
            raise ConfigError(f"working size {self.working_size}: must be from 1 to {MAX_SIZE}")

    @property
    def stated(self) -> dict[str, Any]:
        """What the new file says in place of what the run or the old file says."""
        names = ("name", "license", "training_data", "working_size", "caution")
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value is not None}


def export_run(
    run: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    photos: Sequence[str] = (),
    options: ExportOptions | None = None,
) -> Comparison:
    """Write a run's averaged weights as an ONNX file.

    Parameters
    ----------
    run : folder of the run, or an .onnx file that was exported
    output : the .onnx file
    photos : shards or folders to compare on, and to choose weights of fewer bits by; those of the
        run when empty, of a file generated images
    options : the defaults when None

    Raises
    ------
    ConfigError, DataError, ModelError
        ModelError when the written model's results differ too much from PyTorch's.
    """
    run, output = Path(run), Path(output)
    options = options or ExportOptions()
    stated = {"name": output.stem, **options.stated}
    if run.suffix == ".onnx":
        network, info = _of_file(run, options.rebalance)
    else:
        network, info = _of_run(run, options.rebalance, stated.pop("training_data", NOT_STATED))
        if not photos:
            with contextlib.suppress(OSError, ValueError):
                photos = json.loads((run / SOURCES).read_text())
    info = replace(info, **stated)
    return write_model(network, info, output, list(photos), force=options.force, bits=options.bits)


def _of_run(run: Path, rebalance: float | None, training_data: str) -> tuple[nn.Module, ModelInfo]:
    """The network of a run and what its file is to say."""
    config, network, counters = load_run(run)
    log_weights = np.zeros(bins.Q, dtype=np.float32)
    if config.objective == "full":
        keep = 1.0 if rebalance is None else rebalance
        w = np.log(bins.rebalancing_weights(load_prior(run / PRIOR), config.rebalance))
        _shift(network, (keep - 1) * w)
        log_weights = (keep * w).astype(np.float32)
    regression = config.objective == "regression"
    info = info_of(
        network,
        name="",
        arch=f"{config.arch}-{config.encoder}" if config.arch == "photochrom" else config.arch,
        license=NOT_STATED,
        training_data=f"{training_data}; {_described(config, counters)}",
        working_size=config.size_at(1.0),
        bins=np.empty((0, 2), np.float32) if regression else bins.BINS,
        log_weights=log_weights[:0] if regression else log_weights,
    )
    return network, info


def _of_file(file: Path, rebalance: float | None) -> tuple[nn.Module, ModelInfo]:
    """The network of an exported file and what the next one is to say."""
    _, network, info = restore(file)
    if rebalance is not None:
        if not info.log_weights.any():
            raise ConfigError(
                f"{file}: has no rebalancing to keep a part of", "leave rebalance out"
            )
        share = share_left(info.log_weights) if rebalance else 1.0
        if share is None:
            raise ConfigError(
                f"{file}: does not tell which part of the rebalancing it has",
                "leave rebalance out, take all of it off (0), or export the run",
            )
        _shift(network, (rebalance / share - 1) * info.log_weights)
        info = replace(info, log_weights=info.log_weights * np.float32(rebalance / share))
    return network, replace(info, version=__version__)


@torch.no_grad()
def _shift(network: nn.Module, logits: NDArray[np.floating[Any]]) -> None:
    bias = output_layer(network).bias  # type: ignore[arg-type]
    assert bias is not None
    bias += torch.from_numpy(logits.astype(np.float32))


def _described(config: TrainConfig, counters: dict[str, Any]) -> str:
    samples = counters["step"] * config.batch
    hours = counters["seconds"] / 3600
    # Training before this run, in a run that it began from, is not counted.
    return f"{config.objective}, last run: {samples} samples, {hours:.2f} hours"


def info_of(network: nn.Module, **values: Any) -> ModelInfo:
    """What a file says of a network; `values` are the fields that the network doesn't know."""
    return ModelInfo(
        version=__version__,
        channels=int(network.in_channels),  # type: ignore[arg-type]
        multiple=int(network.multiple),  # type: ignore[arg-type]
        L_center=float(network.L_center),  # type: ignore[arg-type]
        L_scale=float(network.L_scale),  # type: ignore[arg-type]
        stride=int(network.stride),  # type: ignore[arg-type]
        ab_scale=AB_SCALE,
        **values,
    )


def write_model(
    network: nn.Module,
    info: ModelInfo,
    output: Path,
    photos: list[str],
    *,
    force: bool,
    bits: int,
) -> Comparison:
    """Write a network as a model file, if that gives the results that PyTorch gives.

    Parameters
    ----------
    network, info : the network, and what the file is to say of it
    output : the .onnx file
    photos : shards or folders to compare on; generated images when empty
    force : replace an existing file
    bits : of the weights, a key of MAX_AB

    Raises
    ------
    ModelError
        The file exists, or its results differ too much from PyTorch's; then nothing is written.
    """
    with whole(output, ModelError, force=force) as draft:
        model = _to_onnx(network.eval(), _OPSET if bits >= 16 else OPSET)
        if bits < 16:
            inputs = _inputs(info, _lightness(photos, info.multiple, _TO_QUANTIZE, between=True))
            quantize(model, bits, list(inputs))
        if bits < 32:
            _halve(model)
        model.metadata_props.add(key=METADATA_KEY, value=info.to_json())
        Path(draft).write_bytes(model.SerializeToString())
        label = f"{output}: not written, the file"
        result = _compare(network, Model(draft, label=label), photos, bits)
        if not result.close:
            raise ModelError(f"{output}: not written, {result}")
    return result


def _to_onnx(network: nn.Module, opset: int) -> Any:
    """The network as an ONNX graph with free batch and size."""
    try:
        import onnx
        import onnxscript  # noqa: F401  (torch's exporter needs it and says so less clearly)
    except ImportError as error:
        raise DependencyError(
            f"exporting needs {error.name}", "run pip install 'photochrom[train]'"
        ) from error
    channels = int(network.in_channels)  # type: ignore[arg-type]
    multiple = int(network.multiple)  # type: ignore[arg-type]
    example = torch.zeros(2, channels, 4 * multiple, 5 * multiple)
    free = {
        0: torch.export.Dim("batch", min=1, max=64),
        2: multiple * torch.export.Dim("rows", min=1, max=256),
        3: multiple * torch.export.Dim("columns", min=1, max=256),
    }
    noise = io.StringIO()
    with _quiet(), contextlib.redirect_stdout(noise), torch.no_grad():
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            opset_version=opset,
            input_names=["input"],
            output_names=["logits"],
            dynamic_shapes=(free,),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    # The exporter notes with each node which source file, by its full path, it came from.
    for part in (model.graph, *model.graph.node, *model.graph.value_info):
        del part.metadata_props[:]
        part.doc_string = ""
    del model.graph.value_info[:]  # shapes between the layers, which ONNX Runtime infers
    onnx.checker.check_model(model)
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's deprecation warnings and log lines are not the user's business."""
    loggers = [logging.getLogger(n) for n in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _halve(model: Any) -> None:
    """Store large float32 weights in 16 bits, each with a cast back that ONNX Runtime folds."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or math.prod(tensor.dims) < 64:
            continue
        name = tensor.name
        values = numpy_helper.to_array(tensor)
        if np.abs(values).max() > np.finfo(np.float16).max:
            continue
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(
            helper.make_node("Cast", [f"{name}.half"], [name], f"{name}.cast", to=TensorProto.FLOAT)
        )
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(casts + nodes)


def _reduced(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The photo, its short side at most _SHORT_SIDE: attention takes memory by the square of it."""
    height, width = rgb.shape[:2]
    if min(height, width) <= _SHORT_SIDE:
        return rgb
    from PIL import Image

    scale = _SHORT_SIDE / min(height, width)
    size = round(width * scale), round(height * scale)
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BOX))


def _lightness(
    photos: list[str], multiple: int, count: int, between: bool = False
) -> Iterator[NDArray[np.float32]]:
    """L of photos, each cut to sides that the network takes; with `between` others."""
    if photos:
        store = PhotoStore(photos)
        count = min(count, len(store))
        places = np.linspace(0, len(store) - 1, count)
        if between:
            places = (np.arange(count) + 0.5) * len(store) / count
        for i in np.unique(places.astype(int)):
            rgb = torch.from_numpy(_reduced(decode(store.read(int(i)), store.name(int(i)))))
            L = rgb_to_lab(rgb.permute(2, 0, 1)[None])[0, 0].numpy()
            height, width = (max(multiple, side // multiple * multiple) for side in L.shape)
            if L.shape[0] >= height and L.shape[1] >= width:
                yield L[:height, :width]
        return
    rng = np.random.default_rng(int(between))
    for _ in range(count):  # soft blobs at several scales: the statistics of a photo, roughly
        L = np.zeros((4 * multiple, 6 * multiple), dtype=np.float32)
        for block in (1, 2, 4):
            cells = rng.uniform(0, 100, (4 * block, 6 * block)).astype(np.float32)
            L += np.kron(cells, np.ones((multiple // block,) * 2, dtype=np.float32)) / 3
        yield L


def _inputs(
    info: ModelInfo, lightness: Iterator[NDArray[np.float32]]
) -> Iterator[NDArray[np.float32]]:
    """What the network is given for them: every other one with a hint, where it takes hints."""
    for n, L in enumerate(lightness):
        x = np.zeros((info.channels, *L.shape), dtype=np.float32)
        x[0] = (L - info.L_center) / info.L_scale
        off, on = info.hint_mask
        x[3:] = off
        if info.channels == 4 and n % 2:
            x[1:, 8:13, 8:13] = np.array([0.5, 0.3, on], dtype=np.float32)[:, None, None]
        yield x


@torch.no_grad()
def _compare(network: nn.Module, model: Model, photos: list[str], bits: int) -> Comparison:
    network = network.float().eval()
    info = model.info
    mean: list[float] = []
    largest = worst = 0.0
    for x in _inputs(info, _lightness(photos, info.multiple, _TO_COMPARE)):
        theirs = network(torch.from_numpy(x)[None])[0].numpy()
        ours = model(x)
        worst = max(worst, float(np.abs(theirs - ours).max()))
        if info.regression:
            distance = np.linalg.norm((theirs - ours) * info.ab_scale, axis=0)
        else:
            a, b = (bins.annealed_mean(z, bins=info.bins) for z in (theirs, ours))
            distance = np.linalg.norm(a - b, axis=-1)
        mean.append(float(distance.mean()))
        largest = max(largest, float(distance.max()))
    if not mean:
        raise DataError(
            f"no photo has sides of {info.multiple} pixels or more", "give others to compare on"
        )
    return Comparison(len(mean), float(np.mean(mean)), largest, worst, bits)
