from __future__ import annotations

from photochrom.reproduce.table import agreement, markdown


def table(value: float, low: float = 80.0, high: float = 90.0) -> dict[str, object]:
    figure = {"value": value, "low": low, "high": high}
    return {
        "recipe": "small",
        "seeds": [0, 1],
        "photos": 100,
        "share_of_steps": 0.5,
        "prior": "uniform",
        "notes": ["one thing"],
        "rows": {"full": {"auc_raw": figure}, "gray": {"auc_raw": figure, "nll": figure}},
    }


def test_a_table_agrees_where_it_lies_within_the_others_limits() -> None:
    assert agreement(table(85), table(84)) == (3, [])
    compared, outside = agreement(table(91), table(84))
    assert compared == 3 and len(outside) == 3
    assert "full, AuC raw: 91.00, theirs 84.00" in outside[0]
    assert agreement(table(90.005), table(84)) == (3, []), "rounding"


def test_figures_without_limits_are_not_compared() -> None:
    other = table(84)
    other["rows"] = {"full": {"auc_raw": {"value": 84, "low": None, "high": None}}}
    assert agreement(table(91), other) == (0, [])


def test_the_table_says_what_it_is() -> None:
    text = markdown(table(85))
    assert "2 runs of each method, 100 photos" in text
    assert "A rehearsal, with 0.5 of the recipe's steps" in text
    assert "| full | 85.00 ± 5.00 |" in text
    assert "- prior: uniform\n- one thing" in text
