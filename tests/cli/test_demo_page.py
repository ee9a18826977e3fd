"""The report: one file that needs no other, with every text escaped."""

import re
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ashore.cli.demo.charts import Rate, histogram, jitter, learning_curves, ranking_scatter, success_bars
from ashore.cli.demo.page import Grid, Page, Picture, Section, Tile, write_page
from ashore.cli.demo.recipe import RECIPES, Files, make_steps

RATES = [Rate("one", 9, 10, 0.6, 0.98), Rate("two", 0, 10, 0.0, 0.28)]


def test_the_page_holds_its_pictures_and_links_to_nothing(tmp_path: Path) -> None:
    pictures = [Picture(b"GIF89a", "a clip"), Picture(success_bars(RATES), "a chart")]
    section = Section("Heading", "Text.", pictures, Grid(("a", "b"), [("x", "1")], frozenset({1})), "A note.")
    write_page(tmp_path / "page.html", Page("Title", "Lead.", [Tile("1", "one")], [section]))
    text = (tmp_path / "page.html").read_text()
    assert "data:image/gif;base64,R0lGODlh" in text
    assert "<svg" in text
    assert not re.search(r'(?:src|href)="(?!data:|#)', text.replace("xlink:href", ""))


def test_texts_are_escaped(tmp_path: Path) -> None:
    section = Section("<b>", "a & b", grid=Grid(("<i>",), [("<script>",)]))
    write_page(tmp_path / "page.html", Page("<title>", "lead", [Tile("<", ">")], [section]))
    body = (tmp_path / "page.html").read_text().partition("<body>")[2]
    assert "<script>" not in body
    assert "&lt;script&gt;" in body


@settings(deadline=None, max_examples=15)  # Drawing takes a third of a second.
@given(st.lists(st.floats(0.01, 50.0), min_size=1, max_size=60))
def test_charts_stand_whatever_the_samples(values: list[float]) -> None:
    assert histogram(values, "ms", {"p50": 1.0}).startswith("<svg")
    assert jitter({"a": values, "b": [0.0] * len(values)}, "ms").startswith("<svg")


def test_every_chart_is_drawn() -> None:
    assert learning_curves({"a": ([1, 2], [0.5, 0.1])}).startswith("<svg")
    assert ranking_scatter({"one": 0.4, "two": -0.4}, {rate.label: rate for rate in RATES}).startswith("<svg")


def test_numbers_along_a_logarithmic_axis_are_numbers_and_no_formulas() -> None:
    curves = learning_curves({"a": ([1, 2, 3], [0.6, 0.1, 0.02])})
    spread = jitter({"a": list(np.geomspace(0.01, 20.0, 500))}, "ms")
    for drawn in (curves, spread):
        assert "$" not in drawn and "mathdefault" not in drawn
    assert ">0.05<" in curves and ">10<" in spread


def test_every_recipe_makes_steps_that_wait_only_for_steps_before_them() -> None:
    for recipe in RECIPES.values():
        known: set[str] = set()
        for step in make_steps(recipe, Files(Path("out"))):
            assert set(step.after) <= known, step.name
            assert step.name not in known
            known.add(step.name)
