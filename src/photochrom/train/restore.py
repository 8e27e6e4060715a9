"""From an exported ONNX file back to a network that can be trained: fine-tuning what is shipped."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from photochrom.color import bins
from photochrom.errors import DependencyError, ModelError
from photochrom.models import METADATA_KEY, ModelInfo
from photochrom.train.config import ARCHITECTURES, ENCODERS, TrainConfig
from photochrom.train.eccv16 import ECCV16
from photochrom.train.networks import Photochrom, build

__all__ = ["restore", "share_left"]

_Values = dict[str, NDArray[np.float32]]


def restore(path: str | os.PathLike[str]) -> tuple[TrainConfig, ECCV16 | Photochrom, ModelInfo]:
    """Read a file that `export` wrote into a PyTorch network.

    Returns
    -------
    config : the default settings with the file's network and kind of output
    network : with the file's weights, in evaluation mode
    info : what the file says of itself

    Raises
    ------
    DependencyError
        The package `onnx` is not installed.
    ModelError
        The file cannot be read, is not ours, or holds another network than those of this version.

    Notes
    -----
    Export folds each BatchNorm into the convolution before it. Here it is unfolded so that the
    convolution has the scale of a fresh one and the norm the rest: the function is the same, and
    AdamW, whose steps are absolute, treats it as it did in training.
    """
    try:
        import onnx
    except ImportError as error:
        raise DependencyError(
            f"reading {path} needs {error.name}", "run pip install 'photochrom[train]'"
        ) from error
    path = Path(path)
    try:
        model = onnx.load(path, load_external_data=False)
        text = {p.key: p.value for p in model.metadata_props}[METADATA_KEY]
        info = ModelInfo.from_json(text)
        values = _stored(model.graph)
    except FileNotFoundError:
        raise ModelError(f"{path}: no such model file") from None
    except Exception as error:  # protobuf and onnx raise many kinds for a damaged or foreign file
        raise ModelError(
            f"{path}: cannot be read as a photochrom model ({type(error).__name__})",
            "give a file that `photochrom export` wrote",
        ) from error
    arch, _, encoder = info.arch.partition("-")
    if arch not in ARCHITECTURES or encoder not in (*ENCODERS, ""):
        raise ModelError(f"{path}: holds the network {info.arch!r}, which is not known here")
    config = TrainConfig(
        arch=arch,
        encoder=encoder or TrainConfig.encoder,
        objective="regression" if info.regression else "full",
        steps=1,
    )
    network = build(config)
    state = _state(network, model.graph, values)
    missing = [name for name in network.state_dict() if name not in state]
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing:
        raise ModelError(f"{path}: has no {missing[0]} ({len(missing)} tensors are missing)")
    try:
        network.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in state.items()}, False)
    except RuntimeError as error:
        raise ModelError(f"{path}: {' '.join(str(error).split())}") from error
    return config, network.eval(), info


def share_left(log_weights: NDArray[np.float32]) -> float | None:
    """Which share r of the class rebalancing a file has kept, by its log weights r log w.

    With the default lambda only, and None with any other. Two properties of w tell: with the right
    r, sum_q p_q w_q = 1 for the prior p that belongs to w, and the colors that hardly ever occur
    have a p of nearly zero.

    Source: Zhang et al. 2016, section 2.2, equation 4, solved for p.
    """
    x, mix = log_weights.astype(np.float64), bins.REBALANCE

    def prior(r: float) -> tuple[NDArray[np.float64], float]:
        w = np.exp(x / r)
        p = (1 / (w * (1 / w).sum()) - mix / bins.Q) / (1 - mix)
        return p, float(p @ w) - 1

    low, high = max(0.02, float(np.abs(x).max()) / 50), 1.5
    if not prior(low)[1] < 0 < prior(high)[1]:
        return None
    for _ in range(60):  # p @ w - 1 rises with r
        middle = (low + high) / 2
        low, high = (middle, high) if prior(middle)[1] < 0 else (low, middle)
    plausible = high < 1.001 and abs(prior(high)[0].min()) < 1e-5
    return min(high, 1.0) if plausible else None


def _stored(graph: Any) -> _Values:
    """The graph's numbers by name, those in fewer bits computed as they are when it is loaded."""
    from onnx import numpy_helper

    values = {t.name: numpy_helper.to_array(t).astype(np.float32) for t in graph.initializer}
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]]
        elif node.op_type == "DequantizeLinear":
            integers, scale = (values[name] for name in node.input)
            options = {a.name: a.i for a in node.attribute}
            axis, block = options["axis"], options.get("block_size")
            if block:
                scale = np.repeat(scale, block, axis).take(range(integers.shape[axis]), axis)
            else:
                scale = scale.reshape([-1 if i == axis else 1 for i in range(integers.ndim)])
            values[node.output[0]] = integers * scale
    return values


def _state(network: nn.Module, graph: Any, values: _Values) -> _Values:
    """The network's tensors, found by their names and by the layers that they enter.

    Names alone do not do: export stores equal tensors once, leaves out a bias of zeros, folds each
    BatchNorm that it can and renames the matrices of linear layers.
    """
    wanted = {name: tuple(t.shape) for name, t in network.state_dict().items()}
    norms = {name: m for name, m in network.named_modules() if isinstance(m, nn.BatchNorm2d)}
    state = {n: v for n, v in values.items() if wanted.get(n) == v.shape}
    products: dict[str, str] = {}
    unfolded = iter(norms)  # where they are not folded they are met in the network's order
    for node in graph.node:
        inputs = list(node.input)
        if node.op_type in ("Conv", "ConvTranspose") and inputs[1] in values:
            layer = inputs[1].removesuffix(".weight")
            weight = values[inputs[1]]
            norm = layer.removesuffix(".conv") + ".norm"
            channels = wanted.get(f"{layer}.bias", (len(weight),))
            bias = values.get(inputs[2]) if len(inputs) > 2 else np.zeros(channels, np.float32)
            if bias is None:
                continue
            if f"{layer}.bias" in wanted:
                state[f"{layer}.bias"] = bias
            elif norm in norms:
                state.update(_unfold(layer, norm, weight, bias, norms[norm].eps))
        elif node.op_type == "BatchNormalization":
            name = next(unfolded, "")
            parts = ("weight", "bias", "running_mean", "running_var")
            for part, given in zip(parts, inputs[1:], strict=True):
                if given in values:
                    state[f"{name}.{part}"] = values[given]
        elif node.op_type == "MatMul" and inputs[1] in values:
            products[node.output[0]] = inputs[1]
        elif node.op_type == "Add":
            for product, bias_name in (inputs, inputs[::-1]):
                matrix = bias_name.removesuffix(".bias") + ".weight"
                if product in products and bias_name.endswith(".bias") and matrix in wanted:
                    state[matrix] = values[products[product]].T
    return state


def _unfold(
    layer: str, norm: str, weight: NDArray[np.float32], bias: NDArray[np.float32], eps: float
) -> _Values:
    rms = np.sqrt((weight.reshape(len(weight), -1) ** 2).mean(axis=1))
    scale = np.maximum(rms * math.sqrt(math.prod(weight.shape[1:])), 1e-4).astype(np.float32)
    return {
        f"{layer}.weight": weight / scale.reshape(-1, 1, 1, 1),
        f"{norm}.weight": scale,
        f"{norm}.bias": bias,
        f"{norm}.running_mean": np.zeros_like(bias),
        f"{norm}.running_var": np.full_like(bias, 1 - eps),
    }
