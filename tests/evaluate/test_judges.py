from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image
from scipy.linalg import sqrtm

from photochrom import ModelError
from photochrom.cli.main import main
from photochrom.evaluate.judges import (
    KEY,
    Classifier,
    Features,
    PerceptualDistance,
    frechet_distances,
    judge_digest,
)

Picture = NDArray[np.uint8]
WISHES = {"size": 8, "mean": 0.0, "std": 1.0, "classes": ["red", "green", "blue"]}


@pytest.fixture(autouse=True)
def no_stand_in_for_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """colour-science leaves modules without a spec behind, and TorchMetrics trips over them."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "matplotlib" and getattr(module, "__spec__", None) is None:
            monkeypatch.delitem(sys.modules, name)


def mean_color(path: Path, wishes: dict[str, Any] | None = WISHES) -> Path:
    """A network whose answers are the means of red, green and blue: which of them is strongest?"""
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["y"]),
    ]
    shapes = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", [1, 3, 8, 8]), ("y", [1, 3]))
    ]
    graph = helper.make_graph(nodes, "mean", shapes[:1], shapes[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if wishes is not None:
        model.metadata_props.add(key=KEY, value=json.dumps(wishes))
    onnx.save(model, path)
    return path


def plain(*rgb: int, size: tuple[int, int] = (10, 14)) -> Picture:
    return np.broadcast_to(np.array(rgb, np.uint8), (*size, 3)).copy()


def test_classifies_by_the_class_that_the_name_says(tmp_path: Path) -> None:
    classifier = Classifier(mean_color(tmp_path / "c.onnx"))
    assert classifier.label("blue") == 2 and classifier.label("teal") is None
    pictures = [plain(0, 200, 9), plain(0, 0, 99), plain(255, 3, 3), plain(1, 2, 3)]
    assert classifier.top(pictures).tolist() == [1, 2, 0, 2]


@pytest.mark.slow
def test_pictures_come_as_the_network_wants_them(tmp_path: Path) -> None:
    wishes = WISHES | {"mean": [10, 20, 30], "std": [2, 4, 5]}
    outputs = Classifier(mean_color(tmp_path / "c.onnx", wishes)).outputs([plain(30, 60, 80)])
    np.testing.assert_allclose(outputs, [[10, 10, 10]], atol=1e-4)
    # Cropped, the outer thirds of a long picture do not count; squeezed, they do.
    wide = np.concatenate([plain(0, 0, 0), plain(90, 90, 90), plain(0, 0, 0)], axis=1)
    cropped = Classifier(mean_color(tmp_path / "c.onnx")).outputs([wide[:, 9:-9]])
    squeezed = Features(mean_color(tmp_path / "f.onnx", WISHES | {"crop": False}))([wide])
    assert cropped.min() > 80
    np.testing.assert_allclose(squeezed, 30, atol=3)


def test_wishes_may_lie_beside_the_file(tmp_path: Path) -> None:
    path = mean_color(tmp_path / "c.onnx", None)
    with pytest.raises(ModelError, match=r"c\.onnx\.json"):
        Classifier(path)
    (tmp_path / "c.onnx.json").write_text(json.dumps(WISHES))
    assert Classifier(path).top([plain(0, 9, 0)]).tolist() == [1]


@pytest.mark.parametrize(
    "wishes",
    [
        {},
        {"size": 8},
        WISHES | {"std": 0},
        WISHES | {"size": -1},
        WISHES | {"classes": []},
        WISHES | {"mean": "x"},
        WISHES | {"mean": [1, 2]},
        WISHES | {"mean": float("nan")},
        WISHES | {"std": float("inf")},
        WISHES | {"classes": "abc"},
        WISHES | {"classes": ["a", "b", "a"]},
        WISHES | {"classes": [1, 2, 3]},
    ],
)
def test_senseless_wishes_are_refused(tmp_path: Path, wishes: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"c\.onnx"):
        Classifier(mean_color(tmp_path / "c.onnx", wishes))


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.onnx").write_bytes(b"nothing")
    for path in (tmp_path / "c.onnx", tmp_path / "missing.onnx"):
        with pytest.raises(ModelError, match=path.name):
            Classifier(path)
    four = Classifier(mean_color(tmp_path / "d.onnx", WISHES | {"classes": list("abcd")}))
    with pytest.raises(ModelError, match="3 outputs"):
        four.top([plain(1, 2, 3)])
    small = Classifier(mean_color(tmp_path / "e.onnx", WISHES | {"size": 9}))
    with pytest.raises(ModelError, match="failed to run"):
        small.top([plain(1, 2, 3)])


def test_an_answer_that_is_no_number_is_refused(tmp_path: Path) -> None:
    tiny = Classifier(mean_color(tmp_path / "c.onnx", WISHES | {"std": 1e-36}))
    with pytest.raises(ModelError, match="not finite"):
        tiny.top([plain(255, 255, 255)])


def test_the_digest_covers_what_lies_beside(tmp_path: Path) -> None:
    path = mean_color(tmp_path / "c.onnx", None)
    alone = judge_digest(path)
    (tmp_path / "c.onnx.json").write_text(json.dumps(WISHES))
    assert judge_digest(path) != alone


def test_a_classifier_that_knows_no_photo_is_said_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pictures: list[Picture]
) -> None:
    folder = tmp_path / "photos" / "teal"
    folder.mkdir(parents=True)
    Image.fromarray(pictures[0]).save(folder / "0.png")
    judge = str(mean_color(tmp_path / "judge.onnx"))
    command = ["evaluate", str(tmp_path / "photos"), "-o", str(tmp_path / "r")]
    assert main([*command, "--classifier", judge]) == 1
    err = capsys.readouterr().err
    assert "'teal'" in err and "'red'" in err
    assert not (tmp_path / "r").exists()


@pytest.mark.slow
def test_frechet_distance_equals_its_formula() -> None:
    rng = np.random.default_rng(0)
    mix = rng.normal(0, 1, (2, 5, 5))
    sets = [
        (rng.normal(0, 1, (400, 5)) @ mix[k] + 2 * k).astype(np.float32) for k in range(2)
    ]  # fmt: skip
    means = [s.astype(np.float64).mean(axis=0) for s in sets]
    covariances = [np.cov(s.astype(np.float64), rowvar=False) for s in sets]
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(
        covariances[0] + covariances[1] - 2 * sqrtm(covariances[0] @ covariances[1]).real
    )
    rows = np.stack([*sets, sets[0]], axis=1)
    distances = frechet_distances(lambda: (rows[at : at + 64] for at in range(0, 400, 64)))
    assert distances[0] == 0
    assert distances[1] == pytest.approx(expected, rel=1e-3)
    assert distances[2] == pytest.approx(0, abs=1e-3)
    assert np.isnan(frechet_distances(lambda: iter([rows[:1]]))[1])


@pytest.mark.slow
def test_semantic_test_and_distance_in_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pictures: list[Picture]
) -> None:
    # Photos in which one color is strongest: their own class is found, gray's is a tie of all.
    for n, name in enumerate(("red", "green", "blue", "unknown")):
        for k in range(3):
            rgb = np.clip(0.5 * pictures[3 * k].astype(float), 0, 255)
            rgb[..., n % 3] += 100
            path = tmp_path / "photos" / name / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rgb.astype(np.uint8)).save(path)
    judge = str(mean_color(tmp_path / "judge.onnx"))
    command = ["evaluate", str(tmp_path / "photos"), "--sweep", "0", "--workers", "1"]
    report = tmp_path / "report"
    assert main([*command, "-o", str(report), "--classifier", judge, "--fid", judge]) == 0
    out = capsys.readouterr().out
    assert "top-1" in out and "FID" in out
    facts = json.loads((report / "report.json").read_text())
    rows = {row["name"]: row["figures"] for row in facts["rows"]}
    assert rows["original"]["top_1"]["value"] == 100
    assert rows["gray"]["top_1"]["value"] < 70
    assert rows["original"]["fid"]["value"] == 0 < rows["gray"]["fid"]["value"]


@pytest.mark.slow
def test_missing_weights_leave_the_column_out_and_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pictures: list[Picture]
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for n in range(2):
        Image.fromarray(pictures[n]).save(folder / f"{n}.png")
    command = ["evaluate", str(folder), "-o", str(tmp_path / "r"), "--sweep", "0"]
    assert main([*command, "--classifier", "no.onnx", "--fid", "none.onnx"]) == 1
    out, err = capsys.readouterr()
    assert "no.onnx: no such file; leaving out the column top-1" in err
    assert "none.onnx: no such file; leaving out the column FID" in err
    assert "top-1" not in out and "FID" not in out and "AuC raw" in out


# --- a distance -----------------------------------------------------------------------------------


def mean_difference(path: Path, inputs: int = 2, one_number: bool = True) -> Path:
    """A network whose answer is the mean of the first picture minus that of the second."""
    shape: list[int | str] = [1, 3, "h", "w"]
    names = ["a", "b"][:inputs]
    last = helper.make_node("ReduceMean" if one_number else "Relu", ["d"], ["y"])
    if one_number:
        last.attribute.append(helper.make_attribute("keepdims", 0))
    graph = helper.make_graph(
        [helper.make_node("Sub", [names[0], names[-1]], ["d"]), last],
        "difference",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path
    )
    return path


def test_a_distance_sees_both_pictures_from_minus_1_to_1(tmp_path: Path) -> None:
    distance = PerceptualDistance(mean_difference(tmp_path / "d.onnx"))
    assert distance(plain(255, 255, 255), plain(0, 0, 0)) == pytest.approx(2)
    assert distance(plain(0, 51, 0), plain(51, 51, 51)) == pytest.approx(-102 / 127.5 / 3)
    assert distance(plain(7, 8, 9, size=(31, 20)), plain(7, 8, 9, size=(31, 20))) == 0
    assert distance.protocol.startswith("d.onnx (sha256 ")


def test_a_network_that_does_not_compare_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has 1 input, but a network that compares has two"):
        PerceptualDistance(mean_difference(tmp_path / "one.onnx", inputs=1))
    many = PerceptualDistance(mean_difference(tmp_path / "many.onnx", one_number=False))
    with pytest.raises(ModelError, match="gives 420 numbers, not one distance"):
        many(plain(1, 2, 3), plain(1, 2, 3))
    with pytest.raises(ModelError, match="cannot be loaded"):
        PerceptualDistance(tmp_path / "missing.onnx")
