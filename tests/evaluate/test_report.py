from __future__ import annotations

import csv
import html.parser
import json
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from photochrom.evaluate.chart import Chart, axis_ticks
from photochrom.evaluate.figures import FIGURES
from photochrom.evaluate.question import Evaluation
from photochrom.evaluate.report import table, write_report
from photochrom.evaluate.result import Result
from photochrom.evaluate.run import evaluate
from photochrom.evaluate.summary import cell_text, summary

pytestmark = pytest.mark.slow

Picture = NDArray[np.uint8]
NAME = "<b>'ours' & \"theirs\""


@pytest.fixture(scope="module")
def result(pictures: list[Picture], tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("report")
    for n in range(42):
        path = folder / "photos" / ("a&b" if n % 2 else "c") / f"<i>{n:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(pictures[n % 12], n, axis=1)[:36, :48]).save(path)
    (folder / "photos" / "c" / "<script>.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    asked = Evaluation(
        (str(folder / "photos"),),
        models=((NAME, "photochrom-1"),),
        against=(("copy", str(folder / "photos")),),
        sweep=4,
    )
    return evaluate(asked, folder / "work", workers=1, progress=False)


@pytest.fixture(scope="module")
def report(result: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written") / "report"
    write_report(result, summary(result), folder)
    return folder


class Checker(html.parser.HTMLParser):
    """Collects tags, and whether they close in order."""

    VOID = ("meta", "img", "line", "circle", "polyline", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def test_the_page_is_whole_and_asks_for_nothing(report: Path) -> None:
    page = (report / "report.html").read_text()
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    for _, attributes in checker.tags:
        for key in ("src", "href"):
            assert (attributes.get(key) or "data:image/jpeg;base64,").startswith("data:")
    assert "http:" not in page and "https:" not in page and "url(" not in page
    for section in ("Figures", "Error curves", "30 % right", "Temperature", "By subject",
                    "Random", "Best", "Worst", "Most uncertain", "1 photos skipped"):  # fmt: skip
        assert section in checker.text
    pictures = [a for tag, a in checker.tags if tag == "img"]
    assert len(pictures) == 4 * 6 * 5
    assert all(a["alt"] for a in pictures)


def test_names_cannot_become_markup(report: Path) -> None:
    page = (report / "report.html").read_text()
    checker = Checker()
    checker.feed(page)
    assert NAME in checker.text
    assert not [tag for tag, _ in checker.tags if tag in ("script", "i")]
    assert "<script>" not in page and "<b>'ours'" not in page


def test_json_and_table_and_csv_agree(result: Result, report: Path) -> None:
    def refuse(name: str) -> float:
        raise AssertionError(f"{name} is no JSON")

    facts = json.loads((report / "report.json").read_text(), parse_constant=refuse)
    rows = {row["name"]: row for row in facts["rows"]}
    assert list(rows) == ["original", "gray", "random", NAME, "copy"]
    assert facts["photos"] == 42 and facts["left_out"][0]["photo"] == "c/<script>"
    ours = rows[NAME]["figures"]
    for key in ("auc_raw", "psnr", "delta_e_2000", "nll", "ms"):
        assert ours[key]["low"] <= ours[key]["value"] <= ours[key]["high"]
    assert "nll" not in rows["gray"]["figures"]
    assert "difference" not in rows[NAME]
    assert rows["copy"]["difference"]["auc_raw"]["low"] > 0

    with (report / "photos.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 42 * 5
    mine = [line for line in lines if line["row"] == NAME]
    assert {line["subject"] for line in mine} == {"a-b", "c"}
    for key in ("psnr", "delta_e_2000", "nll", "colorfulness"):
        mean = np.mean([float(line[key]) for line in mine])
        assert mean == pytest.approx(ours[key]["value"], rel=1e-4)

    text = table(facts).splitlines()
    assert len({len(line) for line in text}) == 1, "aligned"
    assert len(text) == 2 + 5
    (line,) = (line for line in text if NAME in line)
    value, half = re.findall(r"[\d.]+", line.split("|")[2])
    assert float(value) == pytest.approx(ours["auc_raw"]["value"], abs=0.005)
    width = ours["auc_raw"]["high"] - ours["auc_raw"]["low"]
    assert float(half) == pytest.approx(width / 2, abs=0.005)


def test_curves_and_sweep_are_in_the_json(result: Result) -> None:
    facts = summary(result)
    curves = facts["error_curves"]["rows"]
    for row in ("gray", NAME, "copy"):
        raw = np.array(curves[row]["raw"])
        assert (np.diff(raw) >= -1e-12).all() and raw[-1] == pytest.approx(1)
        # The area under the curve in whole steps is the figure, but for half a step.
        area = 100 * (raw[:-1].sum() + raw[1:].sum()) / 2 / 150
        value = next(r for r in facts["rows"] if r["name"] == row)["figures"]["auc_raw"]["value"]
        assert area == pytest.approx(value, abs=100 / 150 / 2 + 1e-6)
    assert facts["sweep"]["photos"] == 4
    assert len(facts["sweep"]["models"][NAME]["auc_raw"]) == len(facts["sweep"]["temperatures"])
    cells = facts["reliability"][NAME]
    assert sum(cells["share_of_probability"]) == pytest.approx(1, abs=1e-3)
    subjects = facts["subjects"]
    assert {name: s["photos"] for name, s in subjects.items()} == {"a-b": 21, "c": 21}


def test_writing_again_replaces_and_leaves_nothing_else(result: Result, report: Path) -> None:
    (report / "report.json").write_text("old")
    write_report(result, summary(result), report)
    assert json.loads((report / "report.json").read_text())["photos"] == 42
    assert {p.name for p in report.iterdir()} == {"report.html", "report.json", "photos.csv"}


def test_ticks_are_round_and_inside() -> None:
    assert axis_ticks(0, 100, False) == [0, 20, 40, 60, 80, 100]
    assert axis_ticks(0.1, 100, True) == [0.1, 1, 10, 100]
    for low, high in ((0, 1), (87.3, 88.1), (0, 150), (3.2, 49)):
        ticks = axis_ticks(low, high, False)
        assert 3 <= len(ticks) <= 7
        assert all(low <= t <= high + 1e-9 for t in ticks)


def test_a_chart_of_one_level_line_has_an_axis() -> None:
    line = ("flat", 3, np.array([0.0, 1.0]), np.array([5.0, 5.0]))
    svg = Chart("t", "x", "y", x=(0, 1)).svg([line])
    assert "nan" not in svg and "polyline" in svg


def test_a_dozen_rows_can_be_told_apart(report: Path) -> None:
    styles = re.findall(r"^\.c(\d+) (.*)$", (report / "report.html").read_text(), re.MULTILINE)
    assert [int(n) for n, _ in styles] == list(range(12))
    assert len({style for _, style in styles}) == 12


def test_lopsided_intervals_show_both_ends() -> None:
    figure = FIGURES[0]
    assert cell_text(figure, {"value": 88.0, "low": 87.0, "high": 89.1}) == "88.00 ± 1.05"
    assert cell_text(figure, {"value": 5.0, "low": 0.4, "high": 5.3}) == "5.00 [0.40, 5.30]"
    assert cell_text(figure, {"value": 5.0, "low": float("nan"), "high": float("nan")}) == "5.00"
    assert cell_text(figure, {"value": 5.0}) == "5.00"
    assert cell_text(figure, None) == ""
