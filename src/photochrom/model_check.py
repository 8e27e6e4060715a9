"""Model files checked before anything in them runs.

A file from elsewhere may hold a loop without end, refer to other files, or ask for all memory. Ours
hold none of that: only operators from a list, without graphs inside of them, over weights that the
file itself holds.

Source: onnx.proto of ONNX 1.17, for the numbers of the fields; the encoding of Protocol Buffers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

__all__ = ["MOST_BYTES", "check_model"]

MOST_BYTES = 1 << 30  # of a file
_MOST_NODES = 20_000
_MOST_NUMBER = 256  # of an attribute, such as the width of a kernel
_MOST_GROUPS = 1 << 16
_NAMES = (
    "Add And AveragePool BatchNormalization Cast Ceil Clip Concat Constant Conv ConvTranspose "
    "DequantizeLinear Div Equal Erf Exp Flatten Floor Gather Gelu Gemm GlobalAveragePool Greater "
    "GreaterOrEqual GroupNormalization HardSigmoid HardSwish Identity InstanceNormalization "
    "LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax MatMul Max MaxPool Min Mul Neg "
    "Not Or PRelu Pow QuantizeLinear Reciprocal ReduceMax ReduceMean ReduceSum Relu Reshape Resize "
    "Shape Sigmoid Slice Softmax Softplus Split Sqrt Squeeze Sub Tanh Transpose Unsqueeze "
    "Where"
)
_OPERATORS = frozenset(_NAMES.split())
_DOMAINS = frozenset(["", "ai.onnx"])

Value = int | memoryview


def check_model(data: bytes) -> None:
    """Raise ValueError, with the reason, unless a file could be one of ours."""
    if len(data) > MOST_BYTES:
        raise ValueError(f"is larger than {MOST_BYTES >> 20} MiB")
    graphs = 0
    for number, value in _fields(memoryview(data)):
        if number == 7:
            graphs += 1
            _check_graph(_bytes(value), len(data))
        elif number == 25:
            raise ValueError("holds functions")
    if graphs != 1:
        raise ValueError("holds no network")


def _check_graph(graph: memoryview, size: int) -> None:
    nodes = 0
    for number, value in _fields(graph):
        if number == 1:
            nodes += 1
            _check_node(_bytes(value), size)
        elif number == 5:
            _check_tensor(_bytes(value), size)
        elif number == 15:
            raise ValueError("holds sparse weights")
    if not 0 < nodes <= _MOST_NODES:
        raise ValueError(f"holds {nodes} operators")


def _check_node(node: memoryview, size: int) -> None:
    operator = domain = ""
    for number, value in _fields(node):
        if number == 4:
            operator = _text(value)
        elif number == 7:
            domain = _text(value)
        elif number == 5:
            _check_attribute(_bytes(value), size)
    if operator not in _OPERATORS or domain not in _DOMAINS:
        raise ValueError(f"holds the operator {operator[:40]!r}, which no model of ours has")


def _check_attribute(attribute: memoryview, size: int) -> None:
    fields = list(_fields(attribute))
    name = next((_text(value) for number, value in fields if number == 1), "")
    most = _MOST_GROUPS if name == "group" else _MOST_NUMBER
    for number, value in fields:
        if number in (6, 11, 21, 22, 23):
            raise ValueError(f"holds {name[:40]!r} with a network or tensors of its own")
        if number == 5:
            _check_tensor(_bytes(value), size)
        elif number in (3, 8) and any(abs(one) > most for one in _integers(value)):
            raise ValueError(f"has {name[:40]!r} out of range")


def _check_tensor(tensor: memoryview, size: int) -> None:
    sides: list[int] = []
    for number, value in _fields(tensor):
        if number == 1:
            sides += _integers(value)
        elif number == 13 or (number == 14 and value):
            raise ValueError("refers to weights in another file")
    # Of the smallest numbers, two are in a byte.
    if any(side < 0 for side in sides) or math.prod(sides) > 2 * size:
        raise ValueError("claims more weights than it holds")


# --- Protocol Buffers -----------------------------------------------------------------------------


def _fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of each field of a message; ValueError if it is damaged."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value: Value
            value, at = _varint(data, at)
        else:
            size, at = _varint(data, at) if kind == 2 else ({1: 8, 5: 4}.get(kind, -1), at)
            if not 0 <= size <= len(data) - at:
                raise ValueError("is damaged")
            value, at = data[at : at + size], at + size
        yield key >> 3, value


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    number = 0
    for n, byte in enumerate(data[at : at + 10]):
        number |= (byte & 127) << 7 * n
        if byte < 128:
            return number, at + n + 1
    raise ValueError("is damaged")


def _integers(value: Value) -> list[int]:
    """Signed numbers of a field, which may be packed."""
    numbers = [value] if isinstance(value, int) else []
    at = 0
    while not isinstance(value, int) and at < len(value):
        number, at = _varint(value, at)
        numbers.append(number)
    return [number - (1 << 64) if number >> 63 else number for number in numbers]


def _bytes(value: Value) -> memoryview:
    if isinstance(value, int):
        raise ValueError("is damaged")
    return value


def _text(value: Value) -> str:
    return bytes(_bytes(value)).decode("utf-8", "replace")
