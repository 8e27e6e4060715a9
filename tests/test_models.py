import contextlib
import functools
import hashlib
import json
import pickle
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from photochrom.color import bins
from photochrom.colorizer import Colorizer
from photochrom.errors import ModelError
from photochrom.frame import Frame, network_input, seen_lightness
from photochrom.hints import Place
from photochrom.models import DEFAULT, METADATA_KEY, MODELS, WEIGHTS, Model, ModelInfo, load_model

BUNDLED = WEIGHTS / MODELS[0].file


@functools.cache
def bundled_info() -> ModelInfo:
    """What the default model says about itself; to load it takes longer than most tests."""
    return load_model().info


@pytest.mark.slow
def test_every_bundled_model_is_the_released_file_and_small_enough() -> None:
    assert DEFAULT in {row.name for row in MODELS}
    for row in MODELS:
        data = (WEIGHTS / row.file).read_bytes()
        assert hashlib.sha256(data).hexdigest() == row.sha256
        assert len(data) <= 16 * 2**20
        assert load_model(row.name).info.name == row.name


def test_bundled_model_card_lies_beside_it() -> None:
    for row in MODELS:
        card = (WEIGHTS / row.file).with_suffix(".md")
        assert row.name in card.read_text()


def test_metadata_round_trip() -> None:
    info = bundled_info()
    again = ModelInfo.from_json(info.to_json())
    assert again.to_json() == info.to_json()
    np.testing.assert_allclose(info.bins, bins.BINS)
    assert info.log_weights.shape == (313,)
    assert info.channels == 4 and not info.regression
    # Versions before it know no caution; where there is none the file does not speak of it.
    assert info.caution is None and "caution" not in info.to_json()
    careful = ModelInfo.from_json(replace(info, caution=(3.5, 6.5)).to_json())
    assert careful.caution == (3.5, 6.5)


@pytest.mark.slow
def test_runs_any_multiple_and_gives_a_quarter() -> None:
    model = load_model(threads=1)
    m = model.info.multiple
    for height, width in ((m, m), (m, 3 * m), (4 * m, 2 * m)):
        x = np.zeros((4, height, width), dtype=np.float32)
        logits = model(x)
        assert logits.shape == (313, height // 4, width // 4)
        assert logits.dtype == np.float32


def test_missing_file_names_the_bundled_ones(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"nowhere.onnx.*{DEFAULT}"):
        load_model(tmp_path / "nowhere.onnx")


@pytest.mark.parametrize("keep", [0, 10, 1000, 100_000])
def test_truncated_file(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(BUNDLED.read_bytes()[:keep])
    with pytest.raises(ModelError, match=r"cut\.onnx"):
        load_model(path)


def test_foreign_onnx_file(tmp_path: Path) -> None:
    path = tmp_path / "foreign.onnx"
    _identity(path, None)
    with pytest.raises(ModelError, match="not a photochrom model"):
        Model(path)


def test_altered_bundled_file_is_refused(tmp_path: Path) -> None:
    shutil.copy(BUNDLED, tmp_path / BUNDLED.name)
    data = bytearray(BUNDLED.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / BUNDLED.name).write_bytes(data)
    with pytest.raises(ModelError, match="not the released file"):
        load_model(weights=tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 99},
        {"channels": 3},
        {"multiple": 0},
        {"L_scale": 0.0},
        {"L_scale": float("nan")},
        {"working_size": 10**9},
        {"bins": [[0.0, float("inf")]] * 313},
        {"log_weights": [0.0] * 312},
        {"caution": [6.5, 3.5]},
        {"caution": [3.5]},
        {"caution": ["low", "high"]},
        {"surprise": 1},
        {"stride": 3},
        {"hint_mask": 1.0},
        {"hint_mask": [0.5, 0.5]},
        {"hint_mask": [0.0, 1.0, 2.0]},
        {"hint_mask": [0.0, float("nan")]},
        {"unknown_rebalancing": "no"},
    ],
)
def test_damaged_metadata(tmp_path: Path, change: dict[str, object]) -> None:
    values = json.loads(bundled_info().to_json()) | change
    path = tmp_path / "odd.onnx"
    _identity(path, json.dumps(values))
    with pytest.raises(ModelError, match=r"odd\.onnx: cannot be used"):
        Model(path)


def test_what_most_files_do_not_need_is_not_in_them() -> None:
    info = bundled_info()
    new = {"stride", "hint_mask", "unknown_rebalancing"}
    assert not new & set(json.loads(info.to_json()))  # so older versions read them
    odd = replace(info, stride=1, hint_mask=(-0.5, 0.5), unknown_rebalancing=True)
    again = ModelInfo.from_json(odd.to_json())
    assert (again.stride, again.hint_mask, again.unknown_rebalancing) == (1, (-0.5, 0.5), True)


def test_a_model_says_what_its_probabilities_are_of() -> None:
    info = bundled_info()
    none = np.zeros_like(info.log_weights)
    assert "corrected for the class weights" in info.about_probabilities
    assert replace(info, log_weights=none).about_probabilities == "trained without class weights"
    unknown = replace(info, log_weights=none, unknown_rebalancing=True)
    assert "favor rare colors" in unknown.about_probabilities
    regression = replace(info, bins=info.bins[:0], log_weights=none[:0])
    assert "no probabilities" in regression.about_probabilities


def test_hints_are_encoded_as_the_model_says() -> None:
    info = replace(bundled_info(), hint_mask=(-0.5, 0.5), stride=1)
    L = np.full((64, 64), 30, np.float32)
    frame = Frame.of(64, 64, 64, info.multiple)
    ab = np.array([11.0, -22.0], np.float32)
    x = network_input(L, frame, info, [Place(0.5, 0.25, ab)])
    assert (x[3] == 0.5).sum() == 9 and (x[3] == -0.5).sum() == 64 * 64 - 9
    np.testing.assert_allclose(x[1:3, 16, 32], [0.1, -0.2], rtol=1e-6)
    assert not x[1:3, x[3] < 0].any()
    seen = seen_lightness(x, frame, info)
    assert seen.shape == (64, 64)
    np.testing.assert_allclose(seen, 30, atol=1e-4)
    assert seen_lightness(x, frame, replace(info, stride=4)).shape == (16, 16)


def test_output_of_the_wrong_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "echo.onnx"
    _identity(path, bundled_info().to_json())
    with pytest.raises(ModelError, match=r"echo\.onnx"):
        Model(path)(np.zeros((4, 32, 32), dtype=np.float32))


def test_unknown_device() -> None:
    with pytest.raises(ModelError, match="must be cpu or cuda"):
        load_model(device="abacus")


def _identity(path: Path, metadata: str | None) -> None:
    """A valid ONNX file that gives back its input."""
    kind = TensorProto.FLOAT
    shape = ["b", 4, "h", "w"]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["input"], ["logits"])],
        "echo",
        [helper.make_tensor_value_info("input", kind, shape)],
        [helper.make_tensor_value_info("logits", kind, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if metadata is not None:
        model.metadata_props.add(key=METADATA_KEY, value=metadata)
    onnx.save(model, path)


# --- files from elsewhere -------------------------------------------------------------------------


def _loop_without_end() -> onnx.ModelProto:
    def boolean(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.BOOL, [])

    count = helper.make_tensor_value_info("count", TensorProto.INT64, [])
    image = helper.make_tensor_value_info("state", TensorProto.FLOAT, None)
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["on"]),
            helper.make_node("Identity", ["state"], ["next"]),
        ],
        "body",
        [count, boolean("going"), image],
        [boolean("on"), helper.make_tensor_value_info("next", TensorProto.FLOAT, None)],
    )
    start = helper.make_tensor("start", TensorProto.BOOL, [], [True])
    return _model([helper.make_node("Loop", ["", "start", "input"], ["logits"], body=body)], start)


def _model(nodes: list[onnx.NodeProto], *weights: onnx.TensorProto) -> onnx.ModelProto:
    shape = ["b", 4, "h", "w"]
    taken = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
    given = helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "odd", [taken], [given], initializer=weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    made.metadata_props.add(key=METADATA_KEY, value=bundled_info().to_json())
    return made


def _far_weights() -> onnx.ModelProto:
    far = onnx.TensorProto(name="far", data_type=TensorProto.FLOAT, dims=[4])
    far.data_location = TensorProto.EXTERNAL
    far.external_data.add(key="location", value="/etc/passwd")
    return _model([helper.make_node("Add", ["input", "far"], ["logits"])], far)


def _huge_weights() -> onnx.ModelProto:
    huge = onnx.TensorProto(name="huge", data_type=TensorProto.FLOAT, dims=[1 << 40])
    return _model([helper.make_node("Add", ["input", "huge"], ["logits"])], huge)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (_loop_without_end, "Loop|network"),
        (_far_weights, "another file"),
        (_huge_weights, "more weights than it holds"),
        (lambda: _model([helper.make_node("RandomNormalLike", ["input"], ["logits"])]), "Random"),
        (lambda: _model([]), "0 operators"),
        (
            lambda: _model(
                [helper.make_node("MaxPool", ["input"], ["logits"], kernel_shape=[1 << 30] * 2)]
            ),
            "out of range",
        ),
    ],
)
def test_what_no_model_of_ours_holds_is_refused_before_it_runs(
    tmp_path: Path, make: Callable[[], onnx.ModelProto], why: str
) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(make().SerializeToString())
    with pytest.raises(ModelError, match=rf"odd\.onnx.*({why})"):
        Model(path)


def test_two_outputs_are_refused(tmp_path: Path) -> None:
    made = _model([helper.make_node("Identity", ["input"], ["logits"])])
    made.graph.output.append(made.graph.output[0].__class__())
    made.graph.output[1].CopyFrom(made.graph.input[0])
    path = tmp_path / "odd.onnx"
    path.write_bytes(made.SerializeToString())
    with pytest.raises(ModelError, match=r"odd\.onnx"):
        Model(path)


@pytest.mark.slow
def test_a_flipped_bit_in_the_structure_is_never_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "odd.onnx"
    _identity(path, bundled_info().to_json())
    data = path.read_bytes()
    chance = random.Random(0)
    for _ in range(150):
        flipped = bytearray(data)
        flipped[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        with contextlib.suppress(ModelError):
            Model(path, threads=1)(np.zeros((4, 32, 32), dtype=np.float32))


@pytest.mark.parametrize(
    "change",
    [
        {"multiple": "32"},
        {"working_size": 250.5},
        {"channels": True},
        {"bins": [["a", "b"]]},
        {"bins": {}},
        {"log_weights": None},
        {"ab_scale": "x"},
        {"L_center": float("inf")},
        {"working_size": 33},
        {"name": 7},
    ],
)
def test_metadata_of_another_kind(tmp_path: Path, change: dict[str, object]) -> None:
    test_damaged_metadata(tmp_path, change)


@pytest.mark.slow
def test_a_colorizer_can_be_pickled(colorizer: Colorizer) -> None:
    again = pickle.loads(pickle.dumps(colorizer))
    assert (again.working_size, again.threads) == (colorizer.working_size, colorizer.threads)
    gray = np.linspace(0, 255, 64 * 64).astype(np.uint8).reshape(64, 64)
    np.testing.assert_array_equal(again.predict(gray).render(), colorizer.predict(gray).render())
