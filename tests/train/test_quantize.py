"""Weights of 4 and 8 bits: the rounding a second way, the file byte by byte, the bundled one.

The whole export is in test_export.py.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from photochrom import Colorizer, models
from photochrom.color import bins
from photochrom.errors import ModelError
from photochrom.models import WEIGHTS, load_model
from photochrom.runtime import onnxruntime
from photochrom.train.quantize import AVERAGE_BITS, _rounded, quantize
from photochrom.train.restore import restore, share_left

SMALL = "photochrom-1-small"


def graph(seed: int = 0) -> onnx.ModelProto:
    """Every kind of layer: convolutions of two sizes, one by channel, one transposed, a matrix."""
    rng = np.random.default_rng(seed)
    shapes = {
        "first": (48, 4, 3, 3),
        "wide": (40, 48, 3, 3),
        "each": (40, 1, 3, 3),
        "up": (40, 72, 4, 4),
        "matrix": (72, 50),
    }
    values = {n: rng.normal(0, 1 / np.sqrt(np.prod(s[1:])), s) for n, s in shapes.items()}
    values["matrix"] = rng.normal(0, 0.1, (72, 50))
    values |= {"wide.bias": rng.normal(0, 1, 40), "matrix.bias": rng.normal(0, 1, 50)}
    nodes = [
        helper.make_node("Conv", ["input", "first"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "wide", "wide.bias"], ["c"], pads=[2, 2, 1, 1],
                         strides=[2, 2], dilations=[1, 1]),
        helper.make_node("Conv", ["c", "each"], ["d"], pads=[1, 1, 1, 1], group=40),
        helper.make_node("ConvTranspose", ["d", "up"], ["e"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Transpose", ["e"], ["f"], perm=[0, 2, 3, 1]),
        helper.make_node("MatMul", ["f", "matrix"], ["g"]),
        helper.make_node("Add", ["g", "matrix.bias"], ["logits"]),
    ]  # fmt: skip
    built = helper.make_graph(
        nodes,
        "layers",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 4, "h", "w"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, "y", "x", 50])],
        [numpy_helper.from_array(v.astype(np.float32), n) for n, v in values.items()],
    )
    return helper.make_model(built, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def inputs(count: int, seed: int = 1) -> list[NDArray[np.float32]]:
    """Smooth, and one channel nearly the other: what makes up for errors can do so."""
    rng = np.random.default_rng(seed)
    x = np.kron(rng.normal(0.5, 1, (count, 4, 6, 8)), np.ones((4, 4))).astype(np.float32)
    x[:, 1] = x[:, 0] + 0.1 * x[:, 1]
    return list(x)


def outputs(model: onnx.ModelProto, photos: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.concatenate([session.run(None, {"input": x[None]})[0] for x in photos])


def decoded(model: onnx.ModelProto, name: str) -> NDArray[np.float32]:
    """A weight from the bytes of the file."""
    tensors = {t.name: t for t in model.graph.initializer}
    scale = np.frombuffer(tensors[f"{name}.scale"].raw_data, np.float16).astype(np.float32)
    node = next(n for n in model.graph.node if n.output[0] == name)
    options = {a.name: a.i for a in node.attribute}
    stored = tensors[node.input[0]]
    shape = tuple(stored.dims)
    if stored.data_type == TensorProto.INT8:
        q = np.frombuffer(stored.raw_data, np.int8).reshape(shape)
        return q * scale.reshape([-1 if i == options["axis"] else 1 for i in range(len(shape))])
    assert stored.data_type == TensorProto.INT4
    raw = np.frombuffer(stored.raw_data, np.uint8)
    q = np.stack([raw % 16, raw // 16], axis=1).ravel()[: np.prod(shape)].astype(np.int32)
    q = np.where(q > 7, q - 16, q).reshape(shape)
    scales = scale.reshape(tensors[f"{name}.scale"].dims)
    result = np.zeros(shape, np.float32)
    for place in np.ndindex(shape):
        of = list(place)
        of[options["axis"]] //= options["block_size"]
        result[place] = q[place] * scales[tuple(of)]
    return result


@pytest.mark.parametrize(("bits", "width"), [(4, 7), (4, 24), (8, 24)])
def test_errors_are_made_up_for_as_least_squares_would(bits: int, width: int) -> None:
    """After each column the ones that follow are the best there are, solved for again here."""
    rng = np.random.default_rng(0)
    n = 24
    X = rng.normal(size=(n, 200)) + rng.normal(size=(1, 200))
    H = X @ X.T / 200
    exact = rng.normal(size=(9, n))
    blocks = [slice(i, min(i + width, n)) for i in range(0, n, width)]
    after = np.linalg.cholesky(np.linalg.inv(H)).T
    integers, scale = _rounded(exact.copy(), bits, blocks, np.diag(H), after)
    assert np.array_equal(scale, scale.astype(np.float16).astype(np.float32))

    top, fixed = 2 ** (bits - 1), np.zeros((9, n))
    for column in range(n):
        rest = slice(column, n)
        error = exact[:, :column] - fixed[:, :column]
        best = exact[:, rest] + error @ H[:column, rest] @ np.linalg.inv(H[rest, rest])
        s = scale[:, column // width].astype(np.float64)
        q = np.clip(np.round(best[:, 0] / s), -top, top - 1)
        assert np.array_equal(integers[:, column], q)
        fixed[:, column] = q * s
    plain = np.abs(exact).max(axis=1, keepdims=True) / (top - 0.5)
    plain = np.clip(np.round(exact / plain), -top, top - 1) * plain
    assert ((fixed - exact) @ X).var() < 0.7 * ((plain - exact) @ X).var()


@pytest.mark.parametrize("bits", [4, 8])
def test_a_graph_gives_what_its_bytes_say(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Little room, so that all formats occur.
    monkeypatch.setitem(AVERAGE_BITS, bits, {4: 4.6, 8: 8.4}[bits])
    exact, model = graph(), graph()
    quantize(model, bits, inputs(12))
    onnx.checker.check_model(model)
    kinds = {t.name: t.data_type for t in model.graph.initializer}
    assert kinds["first.int8" if "first.int8" in kinds else "first"]  # too few inputs for 4
    assert "first.int4" not in kinds and "each.int4" not in kinds
    if bits == 4:
        assert "wide.int4" in kinds and "up.int4" in kinds
    by_hand = graph()
    for tensor in by_hand.graph.initializer:
        if f"{tensor.name}.scale" in kinds:
            tensor.CopyFrom(numpy_helper.from_array(decoded(model, tensor.name), tensor.name))
        elif kinds.get(tensor.name) == TensorProto.FLOAT:
            tensor.CopyFrom(next(t for t in model.graph.initializer if t.name == tensor.name))
    photos = inputs(5, seed=2)
    np.testing.assert_allclose(outputs(model, photos), outputs(by_hand, photos), atol=1e-4)
    # Within what so many bits can do, and without a bias of its own.
    wrong = outputs(model, photos) - outputs(exact, photos)
    spread = outputs(exact, photos).std()
    assert wrong.std() < {4: 0.1, 8: 0.01}[bits] * spread
    weights = [t for t in exact.graph.initializer if len(t.dims) > 1]
    size = sum(t.ByteSize() for t in model.graph.initializer if not t.name.endswith("bias"))
    names = 40 * len(model.graph.initializer)
    assert size <= sum(np.prod(t.dims) for t in weights) * 17 / 8 + names


def test_a_bias_takes_the_mean_of_what_rounding_does() -> None:
    exact, model = graph(), graph()
    photos = inputs(12)
    quantize(model, 4, photos)
    biases = [
        numpy_helper.to_array(t) for m in (exact, model) for t in m.graph.initializer
        if t.name == "matrix.bias"
    ]  # fmt: skip
    assert 0 < np.abs(biases[0] - biases[1]).max() < 0.5
    matrix = numpy_helper.to_array(next(t for t in exact.graph.initializer if t.name == "matrix"))
    before = graph()
    before.graph.output[0].CopyFrom(helper.make_empty_tensor_value_info("f"))
    mean = outputs(before, photos).reshape(-1, 72).mean(axis=0)
    shift = mean @ (decoded(model, "matrix") - matrix)
    np.testing.assert_allclose(biases[1], biases[0] - shift, atol=1e-4)


def test_a_graph_of_one_layer_that_multiplies_the_input_itself() -> None:
    weight = np.random.default_rng(0).normal(0, 0.1, (5, 33, 1, 1)).astype(np.float32)
    built = helper.make_graph(
        [helper.make_node("Conv", ["input", "only"], ["logits"])],
        "one",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 33, "h", "w"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 5, "h", "w"])],
        [numpy_helper.from_array(weight, "only")],
    )
    model = helper.make_model(built, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    rng = np.random.default_rng(1)
    quantize(model, 4, [rng.normal(size=(33, 4, 6)).astype(np.float32)])
    # An odd number of integers of 4 bits, two blocks an output.
    error = decoded(model, "only") - weight
    assert 0 < np.abs(error).max() < 0.1 and error.std() < 0.2 * weight.std()


def test_what_is_not_finite_is_refused() -> None:
    photos = inputs(2)
    photos[1][0, 3, 3] = np.nan
    with pytest.raises(ModelError, match="not finite"):
        quantize(graph(), 4, photos)


# --- files ----------------------------------------------------------------------------------------


def test_the_share_of_rebalancing_is_told_from_a_file() -> None:
    card = (WEIGHTS / "photochrom-1.md").read_text()
    stated = float(card.split("photochrom-1.onnx --size 160 --rebalance ")[1].split()[0])
    log_weights = load_model().info.log_weights
    assert share_left(log_weights) == pytest.approx(stated, abs=1e-3)
    prior = np.append(np.random.default_rng(0).dirichlet(np.full(bins.Q - 9, 0.3)), [0] * 9)
    for mix, share in ((0.5, 1.0), (0.5, 0.3), (0.4, 0.8), (0.8, 1.0), (0.2, 0.5)):
        w = np.log(bins.rebalancing_weights(prior, mix)).astype(np.float32)
        told = share_left(np.float32(share) * w)
        assert told == (pytest.approx(share, abs=1e-3) if mix == bins.REBALANCE else None)


# --- the bundled one ------------------------------------------------------------------------------


def test_the_small_model_is_small_and_colors_like_the_large_one() -> None:
    assert (WEIGHTS / f"{SMALL}.onnx").stat().st_size <= 4 * 2**20
    example = Path(__file__).parents[2] / "examples" / "chateau.jpg"
    large, small = (Colorizer(name, threads=1) for name in (None, SMALL))
    assert small.info.working_size == large.info.working_size
    np.testing.assert_array_equal(small.info.log_weights, large.info.log_weights)
    theirs, ours = (bins.annealed_mean(c.predict(example).logits) for c in (large, small))
    assert np.linalg.norm(theirs, axis=-1).mean() > 5
    assert np.linalg.norm(theirs - ours, axis=-1).mean() < 1.5
    chroma = [np.linalg.norm(ab, axis=-1).mean() for ab in (ours, theirs)]
    assert chroma[0] / chroma[1] == pytest.approx(1, abs=0.06)


def test_the_small_model_computes_as_the_large_one_once_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same operators on the same floats: the same speed and memory."""
    graphs = []
    for name in ("photochrom-1", SMALL):
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / f"{name}.onnx")
        monkeypatch.setattr(models.onnxruntime, "SessionOptions", lambda o=options: o)
        load_model(name, threads=1)
        graphs.append(onnx.load(tmp_path / f"{name}.onnx").graph)
    large, small = (Counter(node.op_type for node in g.node) for g in graphs)
    assert "DequantizeLinear" not in small and small["Conv"] == large["Conv"]
    assert small.total() <= large.total()
    sizes = [sum(t.ByteSize() for t in g.initializer) for g in graphs]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.001)


def test_training_can_start_from_the_small_model() -> None:
    _, network, info = restore(WEIGHTS / f"{SMALL}.onnx")
    assert info.name == SMALL and sum(p.numel() for p in network.parameters()) > 6e6
