"""Weights in 4 and 8 bits, chosen so that what each layer gives on photos changes least.

In the file a weight is `DequantizeLinear(integers, Cast(scales in 16 bits))`, standard operators.
ONNX Runtime computes it once, while it loads the file, where it is asked to as `models.Model` does;
from then on nothing is slower or takes more memory than with weights in 16 bits.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from photochrom.arrays import Float32, Float64
from photochrom.errors import ModelError
from photochrom.runtime import onnxruntime

__all__ = ["AVERAGE_BITS", "OPSET", "quantize"]

OPSET = 21
"""The first with integers of 4 bits and with blocks."""
AVERAGE_BITS = {4: 4.85, 8: 8.25}
"""What a weight may take on average, its share of the scales included."""
_FORMATS = {4: ((4, 128), (4, 32), (8, 0), (16, 0)), 8: ((8, 0), (16, 0))}
"""Bits, and how many inputs of an output share a scale (0: all), in order of size. Each layer
begins with the first that it can have; those that gain most for each byte get a larger one."""
_MIN_INPUTS = 32
"""Layers with fewer are not stored in 4 bits."""
_DAMPING = 0.01
"""Of the mean second moment, added to each: a layer has more inputs than photos tell apart."""
_COLUMNS = 64
"""Whose errors are passed on to all others at once: that is quicker."""
_AT_ONCE = 2**26
"""Numbers of moments that are held at a time: 512 MiB."""


class _Stored(NamedTuple):
    bits: int
    block: int
    integers: NDArray[np.int8] | None
    scale: Float32
    """(outputs, blocks)."""
    size: float
    """Bytes."""
    noise: float
    """What rounding adds to the variance of the layer's output, as a share of it."""
    shift: Float64
    """(outputs,) what it adds to the mean of the layer's output."""


@dataclass(frozen=True)
class _Layer:
    """A layer that multiplies; its weight as a matrix (outputs, columns), inputs side by side."""

    node: Any
    weight: Float32

    @property
    def name(self) -> str:
        return str(self.node.input[1])

    @property
    def axes(self) -> tuple[int, int]:
        """Those of outputs and of inputs."""
        return (0, 1) if self.node.op_type == "Conv" else (1, 0)

    @property
    def inputs(self) -> int:
        return int(self.weight.shape[self.axes[1]])

    @property
    def matrix(self) -> Float32:
        rows = np.moveaxis(self.weight, self.axes, (0, -1))
        return rows.reshape(len(rows), -1)

    def in_place(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """Integers, or scales of blocks, in the layout of the weight."""
        outer = np.moveaxis(self.weight, self.axes, (0, -1)).shape[:-1]
        return np.ascontiguousarray(np.moveaxis(matrix.reshape(*outer, -1), (0, -1), self.axes))

    def blocks(self, size: int) -> list[slice]:
        """The columns that share a scale."""
        columns, n = self.matrix.shape[1], self.inputs
        if not size:
            return [slice(0, columns)]
        starts = [s + i for s in range(0, columns, n) for i in range(0, n, size)]
        return [slice(a, min(a + size, a - a % n + n)) for a in starts]

    def unfolded(self, x: Float32) -> Float32 | None:
        """(columns, positions): what the matrix is multiplied with; None where that is not one."""
        if self.node.op_type == "MatMul":
            return x.reshape(-1, x.shape[-1]).T
        options: dict[str, Any] = {a.name: tuple(a.ints) or a.i for a in self.node.attribute}
        if self.node.op_type != "Conv" or options.get("group", 1) != 1:
            return None
        top, left, bottom, right = options.get("pads", (0, 0, 0, 0))
        padded = torch.nn.functional.pad(torch.from_numpy(x), (left, right, top, bottom))
        kernel = self.weight.shape[2:]
        columns = torch.nn.functional.unfold(
            padded,
            kernel,
            dilation=options.get("dilations", 1),
            stride=options.get("strides", 1),
        )[0].numpy()
        by_place = columns.reshape(self.inputs, math.prod(kernel), -1).swapaxes(0, 1)
        return by_place.reshape(columns.shape)


def quantize(model: Any, bits: int, photos: list[Float32]) -> None:
    """Store the weights of a 32-bit graph in `bits` on average, 4 or 8.

    Parameters
    ----------
    model : an onnx.ModelProto of opset 21 or later; changed. Weights left in 32 bits may be halved.
    bits : a key of AVERAGE_BITS
    photos : inputs of the network, each (channels, H, W), on which the outputs should stay

    Raises
    ------
    ModelError
        The network gives numbers that are not finite.
    """
    layers = _layers(model.graph)
    choices = []
    for group in _groups(layers):
        for layer, moments in zip(group, _moments(model, group, photos), strict=True):
            choices.append(list(_ways(layer, *moments, bits)))
    chosen = [0] * len(layers)
    room = sum(layer.weight.size for layer in layers) * AVERAGE_BITS[bits] / 8
    room -= sum(ways[0].size for ways in choices)
    while True:
        best = (0.0, 0, 0, 0.0)
        for n, ways in enumerate(choices):
            now = ways[chosen[n]]
            for k in range(chosen[n] + 1, len(ways)):
                cost = ways[k].size - now.size
                gain = (now.noise - ways[k].noise) / max(cost, 1)
                if cost <= room and gain > best[0]:
                    best = (gain, n, k, cost)
        if not best[0]:
            break
        chosen[best[1]] = best[2]
        room -= best[3]
    _store(model.graph, [(layer, choices[n][chosen[n]]) for n, layer in enumerate(layers)])


def _layers(graph: Any) -> list[_Layer]:
    """Those with large weights that 16 bits can hold, each weight once."""
    from onnx import numpy_helper

    weights = {t.name: t for t in graph.initializer if math.prod(t.dims) >= 64}
    found: dict[str, _Layer] = {}
    for node in graph.node:
        if node.op_type in ("Conv", "ConvTranspose", "MatMul") and node.input[1] in weights:
            values = numpy_helper.to_array(weights[node.input[1]])
            if np.abs(values).max() <= np.finfo(np.float16).max:
                found.setdefault(node.input[1], _Layer(node, values))
    return list(found.values())


def _groups(layers: list[_Layer]) -> Iterator[list[_Layer]]:
    group: list[_Layer] = []
    numbers = 0
    for layer in layers:
        more = layer.matrix.shape[1] ** 2
        if group and numbers + more > _AT_ONCE:
            yield group
            group, numbers = [], 0
        group.append(layer)
        numbers += more
    yield group


def _moments(
    model: Any, layers: list[_Layer], photos: Iterable[Float32]
) -> list[tuple[Float64, Float64]]:
    """Second moments and means, over the photos, of what each layer's weight is multiplied with."""
    from onnx import helper

    name = model.graph.input[0].name
    wanted = sorted({layer.node.input[0] for layer in layers} - {name})
    open_model = copy.deepcopy(model)
    del open_model.graph.output[:]
    open_model.graph.output.extend(helper.make_empty_tensor_value_info(n) for n in wanted)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = torch.get_num_threads()
    session = None
    if wanted:  # else all layers multiply the input itself
        session = onnxruntime.InferenceSession(
            open_model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    sizes = [layer.matrix.shape[1] for layer in layers]
    second, first = [np.zeros((n, n)) for n in sizes], [np.zeros(n) for n in sizes]
    count = [0] * len(layers)
    for x in photos:
        found = session.run(wanted, {name: x[None]}) if session is not None else []
        seen = dict(zip(wanted, found, strict=True))
        seen[name] = x[None]
        for i, layer in enumerate(layers):
            columns = layer.unfolded(seen[layer.node.input[0]])
            if columns is not None:
                second[i] += columns @ columns.T
                first[i] += columns.sum(axis=1)
                count[i] += columns.shape[1]
    for i, n in enumerate(count):
        if n:
            second[i], first[i] = second[i] / n, first[i] / n
        else:  # no matrix multiplies the layer's input: all inputs count the same
            second[i] = np.eye(sizes[i])
        if not np.isfinite(second[i]).all():
            raise ModelError(f"the input of {layers[i].name} is not finite")
    return list(zip(second, first, strict=True))


def _ways(layer: _Layer, second: Float64, mean: Float64, bits: int) -> Iterator[_Stored]:
    """The formats that the layer can have, in order of size."""
    exact = layer.matrix.astype(np.float64)
    variance = second - np.outer(mean, mean)
    power = max(((exact @ variance) * exact).sum(), 1e-12)
    diagonal = np.diag(second)
    damped = second + np.eye(len(second)) * (_DAMPING * diagonal.mean() + 1e-12)
    after = np.linalg.cholesky(np.linalg.inv(damped)).T
    for depth, block in _FORMATS[bits]:
        if depth == 16:
            yield _Stored(
                depth, block, None, np.empty((0, 0), np.float32), 2 * exact.size, 0.0, mean[:0]
            )
        elif depth == 8 or layer.inputs >= _MIN_INPUTS:
            blocks = layer.blocks(block)
            integers, scale = _rounded(exact.copy(), depth, blocks, np.diag(damped), after)
            error = integers * _spread(scale, blocks) - exact
            noise = ((error @ variance) * error).sum() / power
            size = exact.size * depth / 8 + 2 * scale.size
            yield _Stored(depth, block, integers, scale, size, float(noise), error @ mean)


def _rounded(
    matrix: Float64, bits: int, blocks: list[slice], importance: Float64, after: Float64
) -> tuple[NDArray[np.int8], Float32]:
    """Integers and scales; each column's error is made up for in those after it.

    Source: Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
    Transformers", 2022, section 3.
    """
    integers = np.zeros(matrix.shape, dtype=np.int8)
    scale = np.zeros((len(matrix), len(blocks)), dtype=np.float32)
    for i, block in enumerate(blocks):
        scale[:, i] = _scales(matrix[:, block].astype(np.float32), bits, importance[block])
        by = scale[:, i].astype(np.float64)
        for start in range(block.start, block.stop, _COLUMNS):
            stop = min(start + _COLUMNS, block.stop)
            errors = np.zeros((len(matrix), stop - start))
            for column in range(start, stop):
                integers[:, column] = _nearest(matrix[:, column], by, bits)
                error = (matrix[:, column] - integers[:, column] * by) / after[column, column]
                matrix[:, column + 1 : stop] -= np.outer(error, after[column, column + 1 : stop])
                errors[:, column - start] = error
            matrix[:, stop:] -= errors @ after[start:stop, stop:]
    return integers, scale


def _scales(rows: Float32, bits: int, importance: Float64) -> Float32:
    """(N,) scales that 16 bits hold, rounding (N, K) numbers with the least squared error.

    Of either sign: the integers reach one farther below zero than above.
    """
    largest = np.abs(rows).max(axis=1)
    best: Float32 = np.zeros_like(largest)
    least = np.full_like(largest, np.inf)
    for factor in np.linspace(0.5, 1.1, 13) / (2 ** (bits - 1) - 0.5):
        for signed in (factor, -factor):
            scale = (largest * np.float32(signed)).astype(np.float16).astype(np.float32)
            scale[np.abs(scale) < 1e-7] = 1e-7
            error = _nearest(rows, scale[:, None], bits) * scale[:, None] - rows
            squared = error**2 @ importance.astype(np.float32)
            best = np.where(squared < least, scale, best)
            least = np.minimum(squared, least)
    return best


def _nearest(values: NDArray[Any], scale: NDArray[Any], bits: int) -> NDArray[Any]:
    top = 2 ** (bits - 1)
    integers: NDArray[Any] = np.clip(np.rint(values / scale), -top, top - 1)
    return integers


def _spread(scale: Float32, blocks: list[slice]) -> Float32:
    """(outputs, columns) the scale of each weight."""
    return np.repeat(scale, [block.stop - block.start for block in blocks], axis=1)


def _store(graph: Any, layers: list[tuple[_Layer, _Stored]]) -> None:
    """Replace weights by integers and scales, and compute the weights from these.

    What this does to the mean of a layer's output is taken off its bias, if that is its alone.
    """
    from onnx import TensorProto, helper, numpy_helper

    tensors = {t.name: t for t in graph.initializer}
    uses = Counter(name for node in graph.node for name in node.input)
    sums = {name: n for n in graph.node if n.op_type == "Add" for name in n.input}
    nodes = []
    for layer, way in layers:
        if way.integers is None:
            continue
        name, (outputs, inputs) = layer.name, layer.axes
        # A Conv has its bias with it, after a MatMul it is added.
        adds = sums.get(layer.node.output[0]) if layer.node.op_type == "MatMul" else layer.node
        for bias in set(adds.input if adds else ()) - {name}:
            if bias in tensors and uses[bias] == uses[name] == 1:
                values = numpy_helper.to_array(tensors[bias]) - way.shift.astype(np.float32)
                tensors[bias].CopyFrom(numpy_helper.from_array(values, bias))
        integers = layer.in_place(way.integers)
        attributes: dict[str, Any] = {"axis": outputs}
        if way.bits == 8:
            stored = numpy_helper.from_array(integers, f"{name}.int8")
            scale = way.scale[:, 0]
        else:
            pairs = np.append(integers & 15, [0] * (integers.size % 2)).astype(np.uint8)
            packed = (pairs[::2] | pairs[1::2] << 4).tobytes()
            stored = helper.make_tensor(
                f"{name}.int4", TensorProto.INT4, integers.shape, packed, raw=True
            )
            scale = layer.in_place(way.scale)
            attributes = {"axis": inputs, "block_size": min(way.block, layer.inputs)}
        tensors[name].CopyFrom(stored)
        graph.initializer.append(numpy_helper.from_array(scale.astype(np.float16), f"{name}.scale"))
        nodes.append(
            helper.make_node("Cast", [f"{name}.scale"], [f"{name}.by"], to=TensorProto.FLOAT)
        )
        nodes.append(
            helper.make_node("DequantizeLinear", [stored.name, f"{name}.by"], [name], **attributes)
        )
    nodes += list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
