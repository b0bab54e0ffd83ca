"""Every number has a lineage: what it was made from, whether that is still there, and how it was made."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import belvedere
from belvedere.query.seeing import lineage_text
from belvedere.query.seeing.lineage import Leaf, Lineage, Node
from belvedere.query.store import Store
from belvedere.store.errors import BadSource, QueryError, UnknownName
from belvedere.store.registry import INSTRUMENTS, SAID
from tests.small_views import Letters, LetterSums, small_engine, text_set
from tests.worlds import World, add_pictures, records

VARYING = (
    (r"\b[0-9a-f]{8}\b", "HASH"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME"),
    (r"TIME to TIME", "TIME"),
    (r" on \S+, (cpu|cuda)", " on HOST, DEVICE"),
    (r"relative_error [^;]*", "relative_error SMALL"),
    (r"[\d,]+ bytes", "N bytes"),
    (r"from /\S+", "from PATH"),
    (r"open_clip:local-dir:[^,]+", "FOLDER"),
    (r"(?<=made with ).*", "LIBRARIES"),
)
"""What differs between machines and runs."""


def plain(lineage: Lineage) -> list[str]:
    """Give the tree's lines without what differs between machines."""
    text = str(lineage)
    for pattern, word in VARYING:
        text = re.sub(pattern, word, text)
    return text.splitlines()


MADE = "made TIME on HOST, DEVICE, batch 64"
DESCRIPTIONS = [
    "head_descriptions[m × photos × words]: version 1, convention=own, span=weights; read with m=20",
    f"│  1 of 2 units HASH (layer 1); {MADE}; images 300; N bytes",
    "├─ head_moments[m × photos]: version 1",
    f"│  │  1 of 1 units HASH (image 0:300); {MADE}; images 300; N bytes",
    "│  └─ head_contributions[m × photos]: version 1, dtype=float32",
    f"│     │  2 of 2 units (image 0:300); {MADE}; relative_error SMALL; N bytes",
    "│     ├─ model m: FOLDER, its image side, float32, weights HASH, preprocessing HASH",
    "│     └─ image set photos: 300 images from PATH contents HASH",
    "├─ text_embeddings[m × words]: version 1",
    f"│  │  1 of 1 units HASH (text 0:12); {MADE}; N bytes",
    "│  ├─ model m: FOLDER, its text side, float32, weights HASH, tokenizer HASH",
    "│  └─ text set words: 12 texts from a list of 12, contents HASH",
    "└─ tower_maps[m]: version 2, of model m as above",
    f"      1 of 1 units HASH (layer 0:2); {MADE}; N bytes",
    "made with LIBRARIES",
]


def test_a_description_goes_back_to_pool_moments_and_weights(kept: Store) -> None:
    found = kept.lineage("head_descriptions", where="layer = 1 AND head = 0 AND rank = 0")
    assert plain(found)[2:] == DESCRIPTIONS
    (row,) = kept.view("head_descriptions").where("layer = 1 AND head = 0 AND rank = 0").arrow().to_pylist()
    names = ("model", "image_set", "text_set")
    assert (found.count, found.rows) == (1, ({k: v for k, v in row.items() if k not in names},))
    assert str(found).splitlines()[0] == "1 row where layer = 1 AND head = 0 AND rank = 0:"
    assert str(found).splitlines()[1].startswith("  layer 1, head 0, rank 0, text_id ")


def test_it_says_what_the_records_say(kept: Store) -> None:
    tree = json.loads(json.dumps(kept.lineage("head_descriptions").to_dict()))
    known = {record.unit: record for record in records(kept).values()}
    seen: list[str] = []

    def compare(node: dict[str, Any]) -> None:
        seen.append(node["view"])
        for unit in node["units"]:
            record = known[unit["key"]]
            place = {"start": record.covers["start"], "stop": record.covers["stop"], "state": "ready"}
            facts = {"facts": record.facts, "made": record.made, "bytes": record.nbytes, "absent": {}}
            assert unit == {"key": record.unit, **place, **facts}
        for each in node["inputs"]:
            if "view" in each:
                compare(each)

    compare(tree["root"])
    assert seen == [
        "head_descriptions",
        "head_moments",
        "head_contributions",
        "text_embeddings",
        "tower_maps",
    ]
    assert (tree["reads"], tree["selection"], tree["rows"], tree["count"]) == ({"m": 20}, None, [], None)


def nodes(node: Node) -> dict[str, Node]:
    found = {node.view: node}
    for each in node.inputs:
        if isinstance(each, Node):
            found |= nodes(each)
    return found


def states(lineage: Lineage) -> dict[str, list[str]]:
    """Give the states of the units of each view."""
    return {name: [unit.state for unit in node.units] for name, node in nodes(lineage.root).items()}


def test_leaves_are_what_is_registered(kept: Store, world: World) -> None:
    view = kept.view("image_embeddings")
    root = kept.lineage("image_embeddings").root
    model, images = kept._engine.folder.names.model("m"), kept._engine.folder.names.image_set("photos")
    facts = {"checkpoint": None, "side": "image", "libraries": model.libraries, **model.identity("image")}
    assert root.inputs == (
        Leaf("model", "m", world.source, facts),
        Leaf("image_set", "photos", str(world.photos), {"count": 300, "contents": images.all_contents}),
    )
    assert (root.of, root.title, root.recipe) == (2, view._view.title(), view._view.recipe_key)
    assert set(facts) > {"weights", "preprocessing", "precision", "architecture"}


def test_a_part_of_an_array_goes_back_to_the_units_that_a_read_touches(kept: Store) -> None:
    found = kept.lineage("head_contributions", index=(slice(0, 64), -1), convention="clip_prs")
    assert plain(found) == [
        "head_contributions[0:64, -1]",
        "head_contributions[m × photos]: version 1, dtype=float32; read with convention=clip_prs",
        f"│  1 of 2 units HASH (image 0:256); {MADE}; relative_error SMALL; N bytes",
        "├─ model m: FOLDER, its image side, float32, weights HASH, preprocessing HASH",
        "├─ image set photos: 300 images from PATH contents HASH",
        "└─ tower_maps[m]: version 2, of model m as above",
        f"      1 of 1 units HASH (layer 0:2); {MADE}; N bytes",
        "made with LIBRARIES",
    ]
    assert len(kept.lineage("head_contributions", index=[3, 299]).root.units) == 2
    assert kept.lineage("head_contributions", index=list(range(100))).selection == "100 of them"
    assert kept.lineage("head_contributions", index=slice(0, 0)).root.units == ()


def test_only_units_in_which_rows_were_found_count(kept: Store) -> None:
    text = kept.view("head_descriptions").where("layer = 0").arrow()["text_id"].to_pylist()[0]
    found = kept.lineage("head_descriptions", where=f"text_id = {text} AND rank = 0")
    rows = kept.view("head_descriptions").where(f"text_id = {text} AND rank = 0").fetchall()
    assert [unit.start for unit in found.root.units] == sorted({row[3] for row in rows})
    nothing = kept.lineage("head_descriptions", where="text_id = -1")
    assert (nothing.count, nothing.rows, len(nothing.root.units), nothing.complete) == (0, (), 2, True)
    assert str(nothing).splitlines()[0] == "0 rows where text_id = -1"


def test_nothing_is_computed_and_what_is_missing_is_said_to_be(store: Store) -> None:
    store.view("text_embeddings").fill()
    with belvedere.trace() as seen:
        found = store.lineage("head_descriptions", where="layer = 0")
        text = str(found)
    assert [seen.of(kind) for kind in ("compute", "load", "write")] == [[], [], []]
    assert states(found) == {
        "head_descriptions": ["missing"],
        "head_moments": ["missing"],
        "head_contributions": ["missing", "missing"],
        "text_embeddings": ["ready"],
        "tower_maps": ["missing"],
    }
    assert (found.complete, found.count, found.rows) == (False, 0, ())
    lines = re.sub(r"\b[0-9a-f]{8}\b", "HASH", text).splitlines()
    assert lines[:3] == [
        "0 rows where layer = 0",
        "head_descriptions[m × photos × words]: version 1, convention=own, span=weights; read with m=20",
        "│  1 of 2 units HASH (layer 0); all missing",
    ]


def test_inputs_that_are_gone_are_fine_where_what_was_made_from_them_is_kept(filled: Store) -> None:
    for path in records(filled):
        if "/head_contributions/" in path or "/head_moments/" in path:
            (filled.path / path).unlink()
    fresh = belvedere.open(filled.path)
    found = fresh.lineage("head_descriptions")
    assert found.complete
    assert {name: set(each) for name, each in states(found).items()} == {
        "head_descriptions": {"ready"},
        "head_moments": {"gone"},
        "head_contributions": {"gone"},
        "text_embeddings": {"ready"},
        "tower_maps": {"ready"},
    }
    gone = "all not kept any more, and not needed: what was made from it is kept"
    assert f"│     │  2 of 2 units (image 0:300); {gone}" in str(found).splitlines()
    for path in records(filled):
        if "/head_descriptions/" in path:
            (filled.path / path).unlink()
            break
    again = belvedere.open(filled.path).lineage("head_descriptions")
    assert sorted(states(again)["head_descriptions"]) == ["missing", "ready"]
    assert states(again)["head_contributions"] == ["missing", "missing"]


def test_what_is_stale_says_what_changed(filled: Store, world: World, tmp_path: Path) -> None:
    more = [*sorted(world.photos.iterdir()), *add_pictures(tmp_path / "more", [900]).iterdir()]
    filled.add_images("photos", more)
    found = filled.lineage("head_descriptions")
    assert states(found)["head_contributions"] == ["ready", "stale"]
    assert (states(found)["head_descriptions"], found.complete) == (["stale", "stale"], False)
    assert found.root.causes == ("images appended: 300 → 301",)
    assert str(found).splitlines()[2] == "│  images appended: 300 → 301"


def test_rows_that_are_absent_and_units_that_failed_are_told(store: Store, tmp_path: Path) -> None:
    photos = add_pictures(tmp_path / "some", range(5))
    (photos / "00002.png").write_bytes(b"no picture")
    store.add_images("some", photos)
    store.view("head_moments", images="some").fill()
    (unit,) = nodes(store.lineage("head_moments", images="some").root)["head_contributions"].units
    assert list(unit.absent) == [2]
    assert "1 rows absent" in str(store.lineage("head_contributions", images="some"))


def test_a_unit_that_could_not_be_made_says_why(tmp_path: Path) -> None:
    from belvedere.query.lazy.array import LazyArray
    from belvedere.query.seeing.lineage import lineage

    small = small_engine(tmp_path)
    Letters.broken.add(1)
    try:
        lazy = LazyArray(small, LetterSums(Letters(text_set([letter * 3 for letter in "abcabcabc"]))))
        lazy.fill()
    finally:
        Letters.broken.clear()
    found = lineage(small, lazy, None, None)
    assert states(found) == {"letter_sums": ["missing", "ready"], "letters": ["ready", "failed", "ready"]}
    assert nodes(found.root)["letters"].causes == ("block 1 cannot be counted",)
    assert "   │  block 1 cannot be counted" in str(found).splitlines()
    assert nodes(found.root)["letters"].package == "tests"


def test_a_damaged_table_is_told_as_missing_once_it_is_found(filled: Store) -> None:
    path = next(path for path in records(filled) if "/head_descriptions/" in path)
    record = records(filled)[path]
    part = filled.path / record.attempt / "part.parquet"
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    layer = record.covers["start"]
    found = belvedere.open(filled.path).lineage("head_descriptions", where=f"layer = {layer}")
    assert states(found)["head_descriptions"] == ["missing"]


def test_instruments_of_every_kind_are_leaves_and_names_that_can_be_removed(
    world: World, tmp_path: Path
) -> None:
    store = world.store(tmp_path / "store")
    for kind, under in INSTRUMENTS.items():
        assert store._engine.folder.names.put_instrument(kind("one", "demo:one", {}), 0)
        leaf = Leaf(
            kind.__name__.lower(), "one", "demo:one", {"precision": "float32", "identity": "abcdefgh0"}
        )
        assert (
            lineage_text._told(leaf) == f"{kind.__name__.lower()} one: demo:one, float32, identity abcdefgh"
        )
        with pytest.raises(UnknownName, match=f"no {SAID[under]} 'two'; there are one"):
            store.remove("two", kind.__name__.lower())
        store.rename("one", "two", kind.__name__.lower())
        assert store.remove("two", kind.__name__.lower()).kind == kind.__name__.lower()


def test_conditions_and_indices_go_with_tables_and_arrays(kept: Store) -> None:
    with pytest.raises(BadSource, match="where=… narrows views that are tables; head_moments takes index"):
        kept.lineage("head_moments", where="layer = 0")
    with pytest.raises(
        BadSource, match="index=… narrows views that are arrays; head_descriptions takes where"
    ):
        kept.lineage("head_descriptions", index=0)
    with pytest.raises(QueryError, match="layr"):
        kept.lineage("head_descriptions", where="layr = 0")
    with pytest.raises(UnknownName, match="did you mean 'head_moments'"):
        kept.lineage("head_moment")


def test_a_notebook_shows_it_as_lists_that_open(kept: Store) -> None:
    shown = kept.lineage("head_descriptions", where="layer = 1 AND description <> '<b>'")._repr_html_()
    assert shown.count("<details open>") == shown.count("</details>") == 5
    assert "<b>head_moments</b>[m × photos]: version 1" in shown
    assert "description &lt;&gt; &#x27;&lt;b&gt;&#x27;" in shown
