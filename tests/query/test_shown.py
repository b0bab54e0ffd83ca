"""What a notebook shows: states as bars and words, everything escaped, nothing computed, nothing warned."""

from __future__ import annotations

import re
import warnings
from html.parser import HTMLParser
from pathlib import Path

import pytest

import belvedere
from belvedere.compute.running.report import Report
from belvedere.query.seeing.html import ROWS, size
from belvedere.query.store import Store
from belvedere.store import markup
from tests.worlds import World, add_pictures


class Words(HTMLParser):
    """Takes HTML apart: its words, and the widths of bars; refuses what is not closed or is script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ("div", "span", "b", "table", "thead", "tbody", "tr", "th", "td")
        assert [name for name, _ in attrs] in ([], ["style"])
        style = dict(attrs).get("style") or ""
        assert not re.search(r"(^|;)color:", style), "texts keep the page's own colour"
        if width := re.search(r"width:([\d.]+%);background:(#\w+)", style):
            self.words.append(f"{width.group(1)} {NAMES[width.group(2)]}")
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())


NAMES = {markup.READY: "green", markup.STALE: "amber", markup.FAILED: "red"}


def words(shown: object) -> list[str]:
    """Give the words that a notebook shows, without a computation or a warning."""
    with warnings.catch_warnings(), belvedere.trace() as seen:
        warnings.simplefilter("error")
        html = shown._repr_html_()  # type: ignore[attr-defined]
    assert {kind for kind, _ in seen.events} <= {"read", "list"}
    return [word for word in Words(html).words if word]


def test_an_empty_store_says_what_to_do(tmp_path: Path) -> None:
    store = belvedere.open(tmp_path / "new")
    assert words(store) == [
        *("new", str(store.path)),
        "nothing is added yet: add_model, add_images, add_texts",
    ]


def test_a_store_shows_its_names_and_what_is_kept(world: World, store: Store) -> None:
    named = [
        *("store", str(store.path)),
        *("model", "m", "2 layers of 2 heads, 12 dimensions, float32", world.source),
        *("images", "photos", "300", str(world.photos)),
        *("texts", "words", "12", "a list of 12"),
    ]
    assert words(store) == [*named, "no view was filled yet"]
    store.view("text_embeddings").fill()
    store.view("image_embeddings").fill(slice(10))
    kept = {each.view: size(each.bytes) for each in store.status()}
    assert words(store) == [
        *named,
        *("view", "units", "kept"),
        *("image_embeddings[m × photos]", "50% green", "1 of 2 units ready, 1 missing"),
        kept["image_embeddings[m × photos]"],
        *(
            "text_embeddings[m × words]",
            "100% green",
            "1 of 1 unit ready",
            kept["text_embeddings[m × words]"],
        ),
    ]


def test_an_array_shows_its_axes_and_why_units_are_not_ready(world: World, tmp_path: Path) -> None:
    photos = add_pictures(tmp_path / "photos", range(258))
    (photos / "00257.png").write_bytes(b"not a picture")
    store = belvedere.open(tmp_path / "store")
    store.add_model("m", world.source)
    store.add_images("photos", photos)
    view = store.view("image_embeddings")
    start = ["image_embeddings[m × photos]", "image", "joint", "258", "12"]
    assert words(view) == [
        *start,
        "float32, 12.4 kB in memory, 0 bytes kept",
        "0 of 2 units ready, 2 missing",
    ]
    view.fill()
    kept = size(view.status().bytes)
    assert words(view) == [
        *(*start, f"float32, 12.4 kB in memory, {kept} kept"),
        *("100% green", "2 of 2 units ready, 1 row absent"),
    ]
    store.add_images("photos", add_pictures(photos, [258]))
    assert words(store.view("image_embeddings"))[-4:] == [
        *("50% green", "50% amber", "1 of 2 units ready, 1 stale", "images appended: 258 → 259"),
    ]


def test_a_table_shows_its_columns_and_its_condition(store: Store) -> None:
    view = store.view("head_roles").where("layer = ? AND role <> '<none>'", 1)
    assert words(view) == [
        *("head_roles[m × photos × words]", "where layer = ? AND role <> '<none>' with [1]"),
        *("model", "image_set", "text_set", "layer", "head", "role", "score", "p_value", "runner_up"),
        *("string", "string", "string", "int32", "int32", "string", "double", "double", "string"),
        "0 of 1 unit ready, 1 missing",
    ]


def test_a_plan_shows_the_units_of_each_view(store: Store, filled: Store) -> None:
    plan = store.view("head_contributions").plan()
    assert words(plan) == [
        "0 of 2 units are ready; to compute:",
        *("view", "units", "tower_maps", "1", "head_contributions", "2"),
        *("300 images through the model, in 2 blocks", "0.0 MB of arrays"),
    ]
    assert words(filled.view("head_contributions").plan()) == ["nothing to compute: all 2 units are ready"]


@pytest.mark.parametrize(
    ("report", "shown"),
    [
        (Report(filled=3), ["100% green", "3 filled"]),
        (Report(), ["0 filled"]),
        (
            Report(filled=1, reused=2, failed=1),
            *[["75% green", "25% red", "1 filled, 2 reused, 1 failed", "store.errors() says why"]],
        ),
        (
            Report(reused=1, absent=2),
            ["100% green", "0 filled, 1 reused, 2 absent", "store.errors() says why"],
        ),
    ],
)
def test_a_report_shows_what_became_of_the_units(report: Report, shown: list[str]) -> None:
    assert words(report) == shown


def test_an_answer_shows_its_first_rows_and_fetches_no_more(kept: Store) -> None:
    answer = kept.sql("SELECT range AS n, range / 3 AS part FROM range(5000)")
    shown = words(answer)
    assert shown[:8] == ["n", "part", "0", "0", "1", "0.3333", "2", "0.6667"]
    assert shown[-2:] == [f"the first {ROWS} of 5,000 rows", "complete"]
    assert len(shown) == 2 + 2 * ROWS + 2
    assert words(kept.sql("SELECT 1 AS one WHERE false")) == ["one", "0 rows", "complete"]


def test_an_incomplete_answer_says_so_in_a_warning_and_does_not_warn(store: Store) -> None:
    answer = store.sql("SELECT layer FROM head_descriptions")
    lacks = "incomplete: head_descriptions lacks 2 of 2 units (m × photos × words)"
    assert words(answer) == ["layer", "0 rows", lacks]
    assert markup.warning(lacks) in answer._repr_html_()


def test_what_stands_in_cells_is_escaped_and_shortened(kept: Store) -> None:
    query = """
    SELECT '<script>' AS "<b>", NULL AS n, [1.5::FLOAT, 2, 3, 4, 5] AS v, repeat('x', 500) AS long,
        'nan'::FLOAT AS f
    """
    answer = kept.sql(query)
    assert words(answer) == [
        *("<b>", "n", "v", "long", "f"),
        *("<script>", "NULL", "[1.5, 2, 3, 4, … of 5]", "x" * 159 + "…", "nan"),
        *("1 row", "complete"),
    ]
    assert "<script>" not in answer._repr_html_()
