"""Labels that others made: taken in once and whole, seen in SQL, never lost, never half there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import belvedere
from belvedere.query.exchange import importing_labels
from belvedere.query.exchange.importing_labels import ImportedLabels
from belvedere.store import rivals
from belvedere.store.errors import BadSource, DamagedObject, NameTaken, ReadOnlyStore, UnknownName
from belvedere.store.imports import Import
from tests import label_files as files
from tests.label_files import network, to_tensor, written
from tests.query.test_damage import cut, damage, empty, remove
from tests.worlds import engine

Rows = list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def named_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one network and no images; not to be written to."""
    store = belvedere.open(tmp_path_factory.mktemp("labelled") / "store")
    store.add_model("net", network(), transform=to_tensor, transform_id="16 × 16")
    return store.path


@pytest.fixture
def store(named_once: Path, tmp_path: Path) -> belvedere.Store:
    """A copy of it."""
    return belvedere.open(shutil.copytree(named_once, tmp_path / "store"))


def take(store: belvedere.Store, text: str, method: str | None = "theirs", **said: Any) -> ImportedLabels:
    """Import a file as that of the network."""
    path = written(store.path.parent, text)
    return store.import_labels(path, model="net", method=method, **said)


def rows(store: belvedere.Store, query: str) -> Rows:
    return store.sql(query).fetchall()


def objects(store: belvedere.Store) -> dict[str, bytes]:
    """Give all that the store keeps of imports."""
    root = store.path / "imports"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_labels_stand_in_a_table_with_what_was_written_and_what_it_is(store: belvedere.Store) -> None:
    found = take(store, files.DND, module="layer4", note="from their page")
    assert (found.format, found.kind, found.table) == ("dnd 1", "labels", "imported_labels")
    assert (found.written, found.there, found.rows_ok, found.rows, found.rejects) == (True, False, 4, 12, ())
    answer = store.sql("SELECT neuron, rank, label, status, text_raw FROM imported_labels")
    assert answer.completeness.complete
    assert answer.fetchall() == [
        (0, 0, "round lids", "ok", "round lids"),
        (0, 1, None, "blank", " "),
        (0, 2, "Lids, of pots", "ok", '"Lids, of pots"'),
        (3, 0, "stripes", "ok", "stripes"),
        (3, 1, "thin stripes", "ok", "thin stripes"),
        (3, 2, "Stripes", "duplicate", "Stripes"),
        (5, 0, "dots and more dots", "ok", "dots\nand more dots."),
        (5, 1, "null", "ok", "null"),
        (5, 2, "nan", "ok", "nan"),
        (
            7,
            0,
            "I'm sorry, I cannot determine a concept",
            "refusal",
            "I'm sorry, I cannot determine a concept.",
        ),
        (7, 1, "n/a", "ok", "n/a"),
        (7, 2, None, "blank", ""),
    ]
    constant = (
        "SELECT DISTINCT model, module, method, score, score_name, annotator, import_id FROM imported_labels"
    )
    assert rows(store, constant) == [("net", "layer4", "theirs", None, None, None, found.import_id)]
    assert rows(store, "SELECT * EXCLUDE (digest, time) FROM imports") == [
        (
            found.import_id,
            "labels.csv",
            "dnd 1",
            "net",
            "theirs",
            None,
            "labels",
            4,
            0,
            0,
            "from their page",
            None,
        )
    ]


def test_a_preview_says_the_same_and_writes_nothing(store: belvedere.Store) -> None:
    seen = take(store, files.CLIP_DISSECT, preview=True)
    assert (seen.written, seen.there, seen.rows_ok) == (False, False, 3)
    assert not (store.path / "imports").exists()
    assert [(row["module"], row["neuron"], row["label"], row["score"]) for row in seen.first] == [
        ("conv1", 0, "red", 0.25),
        ("conv1", 1, "teal", 0.5),
        ("layer4", 7, "none", None),
    ]
    done = take(store, files.CLIP_DISSECT)
    assert (done.import_id, done.first, done.written) == (seen.import_id, seen.first, True)
    assert take(store, files.CLIP_DISSECT, preview=True).there
    assert rows(store, "SELECT label, score_name FROM imported_labels WHERE module = 'conv1'") == [
        ("red", "similarity"),
        ("teal", "similarity"),
    ]


def test_one_file_is_taken_in_once_wherever_it_lies(store: belvedere.Store, tmp_path: Path) -> None:
    first = take(store, files.DND, module="layer4")
    before, again = objects(store), take(store, files.DND, module="layer4", note="another note")
    moved = store.import_labels(
        written(tmp_path, files.DND, "moved.csv"), model="net", method="theirs", module="layer4"
    )
    assert [(each.import_id, each.written, each.there) for each in (first, again, moved)] == [
        (first.import_id, True, False),
        (first.import_id, False, True),
        (first.import_id, False, True),
    ]
    assert objects(store) == before
    assert rows(store, "SELECT count(*) FROM imported_labels") == [(12,)]


def test_rejects_keep_their_lines_and_reasons(store: belvedere.Store) -> None:
    found = take(store, "Neuron ID,label\n0,a\n8,b\nx,c\n1,d\n", module="layer4")
    assert (found.rows_ok, [each.line for each in found.rejects]) == (2, [3, 4])
    assert rows(store, "FROM import_rejects") == [
        (found.import_id, 3, "8,b", "neuron 8, from 0, is beyond the 8 neurons of 'layer4'"),
        (found.import_id, 4, "x,c", "neuron id 'x' is no whole number"),
    ]
    assert rows(store, "SELECT rows_ok, rows_rejected FROM imports") == [(2, 2)]


def test_annotators_groups_and_other_measures_are_kept(store: belvedere.Store) -> None:
    take(store, files.MILANNOTATIONS, "people")
    assert rows(store, "SELECT neuron, annotator, label FROM imported_labels") == [
        (0, 0, "wheels"),
        (4, 0, "the tops of trees"),
        (4, 1, "leaves"),
        (4, 2, "the tops of trees"),
    ]
    take(store, files.FALCON, "falcon", module="layer4")
    assert rows(
        store, "SELECT neuron, label, status, units FROM imported_labels WHERE units IS NOT NULL"
    ) == [
        (0, "sea", "group", "0,6"),
        (6, "sea", "group", "0,6"),
    ]
    take(store, files.NETDISSECT, "netdissect", module="layer4")
    take(store, files.COSY, "netdissect", module="layer4")
    assert rows(store, "SELECT neuron, label, name, value FROM imported_scores WHERE neuron IN (0, 3)") == [
        (0, "teal", "truth", 80.0),
        (0, "teal", "activation", 40.0),
        (0, "teal", "intersect", 15.0),
        (0, "beach", "truth", 90.0),
        (0, "beach", "activation", 40.0),
        (0, "beach", "intersect", 10.0),
        (0, "red", "cosy_auc", 0.75),
        (0, "red", "cosy_mad", 1.5),
        (0, "red", "cosy_u", 12.0),
        (0, "red", "cosy_p", 0.5),
        (3, "teal", "cosy_auc", 0.5),
        (3, "teal", "cosy_mad", -0.25),
    ]


def test_ratings_name_their_methods_and_their_layers_are_said(store: belvedere.Store) -> None:
    with pytest.raises(BadSource, match="names the methods itself; leave it out"):
        take(store, files.HUMAN, "dnd", module={"1": "layer1", "4": "layer4"})
    with pytest.raises(BadSource, match=r"'1' is no module of 'net': say which one it is, module=\{'1': …\}"):
        take(store, files.HUMAN, None)
    found = take(store, files.HUMAN, None, module={"4": "layer4"})
    assert (found.left, found.rows) == ({"1": 1}, 4)
    assert rows(
        store, "SELECT module, neuron, method, label, rater, rating, exemplars, note FROM human_ratings"
    ) == [
        ("layer4", 7, "DnD", "Wheels", "E1", 5.0, None, "uninterpretable"),
        ("layer4", 7, "DnD", "Wheels", "E2", 5.0, None, None),
        ("layer4", 7, "MILAN", "Round objects", "E1", 3.0, None, "uninterpretable"),
        ("layer4", 7, "MILAN", "Round objects", "E2", 4.0, None, None),
    ]
    assert take(store, files.RATINGS, None).written
    assert rows(store, "SELECT rater, exemplars FROM human_ratings WHERE module = 'layer1'") == [
        ("ann", "set-1")
    ]


def test_what_has_to_be_said_is_asked_for(store: belvedere.Store) -> None:
    asked: list[tuple[str, dict[str, Any], type[Exception], str]] = [
        (files.DND, {"method": None, "module": "layer4"}, BadSource, "say with which method .* method='dnd'"),
        (files.DND, {}, BadSource, "does not say of which layer its units are: say module"),
        (files.DND, {"module": {"layer4": "layer4"}}, BadSource, "does not say of which layer"),
        (files.DND, {"module": "layer5"}, UnknownName, "no module of model 'net' .* did you mean 'layer"),
        (files.DND, {"module": "layer4", "images": "photos"}, UnknownName, "no image set 'photos'"),
        (files.UNSCORED, {}, BadSource, "say which: format='clip-dissect'"),
        (
            files.CLIP_DISSECT,
            {"module": "fc"},
            BadSource,
            "the layers conv1, layer4, and none is called 'fc'",
        ),
        (files.CLIP_DISSECT, {"module": {"layer2": "fc"}}, UnknownName, "no layer of labels.csv 'layer2'"),
        (files.CLIP_DISSECT.replace("conv1", "conv"), {}, BadSource, "'conv' is no module of 'net'"),
    ]
    for text, said, kind, message in asked:
        with pytest.raises(kind, match=message):
            take(store, text, **said)
    with pytest.raises(UnknownName, match="no model 'nett'; did you mean 'net'"):
        store.import_labels(
            written(store.path.parent, files.DND), model="nett", method="dnd", module="layer4"
        )
    assert rows(store, "FROM imports") == []


def test_the_only_layer_of_a_file_can_be_any_module(store: belvedere.Store) -> None:
    take(store, files.UNSCORED.replace("layer1", "subset"), module="layer1", format="milan")
    assert rows(store, "SELECT module, neuron, label FROM imported_labels") == [
        ("layer1", 0, "Red, and round"),
        ("layer1", 5, "Nothing"),
    ]


def test_labels_of_the_same_neurons_and_method_take_the_place_of_others_only_when_told(
    store: belvedere.Store,
) -> None:
    first = take(store, "Neuron ID,label\n0,a\n1,b\n", module="layer4")
    beside = take(store, "Neuron ID,label\n2,c\n", module="layer4")
    other = take(store, "Neuron ID,label\n0,z\n", "ours", module="layer4")
    with pytest.raises(
        NameTaken, match=f"import {first.import_id} has labels by 'theirs' of the same neurons"
    ):
        take(store, "Neuron ID,label\n1,better\n", module="layer4")
    new = take(store, "Neuron ID,label\n1,better\n", module="layer4", replace=True)
    assert (new.replaces, beside.replaces, other.replaces) == ((first.import_id,), (), ())
    labels = "SELECT method, neuron, label FROM imported_labels"
    assert rows(store, labels) == [("ours", 0, "z"), ("theirs", 1, "better"), ("theirs", 2, "c")]
    assert rows(store, "SELECT import_id, replaced_by FROM imports WHERE replaced_by IS NOT NULL") == [
        (first.import_id, new.import_id)
    ]
    assert take(store, "Neuron ID,label\n0,a\n1,b\n", module="layer4").replaced_by == new.import_id
    assert store.remove_import(new.import_id, dry_run=True)["rows_ok"] == 1
    assert store.remove_import(new.import_id)["source"] == "labels.csv"
    assert rows(store, "SELECT neuron, label FROM imported_labels WHERE method = 'theirs'") == [
        (0, "a"),
        (1, "b"),
        (2, "c"),
    ]
    with pytest.raises(UnknownName, match="no import"):
        store.remove_import(new.import_id)


def test_a_chain_of_replacements_never_closes(store: belvedere.Store) -> None:
    texts = [f"Neuron ID,label\n0,{label}\n" for label in "abc"]
    keys = [take(store, text, module="layer4", replace=True).import_id for text in texts]
    seen = "SELECT label FROM imported_labels"
    assert rows(store, seen) == [("c",)]
    store.remove_import(keys[0])
    again = take(store, texts[0], module="layer4", preview=True)
    assert (again.there, again.replaced_by) == (False, keys[1])
    with pytest.raises(
        NameTaken, match=f"import {keys[1]} had taken its place: belvedere remove import {keys[1]}"
    ):
        take(store, texts[0], module="layer4", replace=True)
    store.remove_import(keys[1])
    with pytest.raises(NameTaken, match=f"import {keys[2]} had taken its place"):
        take(store, texts[0], module="layer4", replace=True)
    assert rows(store, seen) == [("c",)]
    store.remove_import(keys[2])
    assert take(store, texts[0], module="layer4").written
    assert rows(store, seen) == [("a",)]


def test_what_is_damaged_in_a_chain_is_mended_into_its_place(store: belvedere.Store) -> None:
    texts = [f"Neuron ID,label\n0,{label}\n" for label in "abc"]
    keys = [take(store, text, module="layer4", replace=True, note=text).import_id for text in texts]
    told = "SELECT import_id, note, time, replaced_by FROM imports ORDER BY import_id"
    before = rows(store, told)
    for key, text in zip(keys, texts, strict=True):
        for path in engine(store).folder.imports.read(key).parts.values():
            damage(store.path / path)
        assert take(store, text, module="layer4").written
        assert rows(store, told) == before
    damage(store.path / "imports" / f"{keys[1]}.json")
    with pytest.raises(DamagedObject):
        take(store, texts[0], module="layer4", preview=True)
    assert take(store, texts[1], module="layer4").written
    assert rows(store, "SELECT label FROM imported_labels") == [("c",)]
    assert store.verify().damage == ()


def test_a_pull_brings_imports_that_do_not_meet_others(store: belvedere.Store, tmp_path: Path) -> None:
    mine = belvedere.open(shutil.copytree(store.path, tmp_path / "mine"))
    first = take(store, files.DND_ONE, module="fc").import_id
    second = take(store, "Neuron ID,label\n0,ships\n", module="fc", replace=True).import_id
    third = take(store, files.MILANNOTATIONS).import_id
    other = take(mine, "Neuron ID,label\n4,hats\n", "theirs", module="fc").import_id
    rejects = take(store, "Neuron ID,label\n0,a\nx,b\n", "ours", module="layer4").import_id
    dry = mine.pull(store.path, dry_run=True)
    taken = mine.pull(store.path)
    expected = {f"import {second}", f"import {third}", f"import {rejects}"}
    assert set(dry.names) == set(taken.names) == expected
    assert taken.left == (f"import {first}",)
    assert rows(mine, "SELECT label FROM imported_labels WHERE module = 'fc'") == [("ships",), ("hats",)]
    assert rows(mine, "SELECT line FROM import_rejects") == [(3,)]
    assert mine.verify().damage == ()
    store.remove_import(first)
    assert mine.pull(store.path).names == ()
    bare = belvedere.open(tmp_path / "bare")
    assert set(bare.pull(mine.path).names) == {"model net", f"import {other}", *expected}
    assert rows(bare, "FROM imported_labels") == rows(mine, "FROM imported_labels")


def test_a_pull_passes_over_imports_that_are_damaged_there(store: belvedere.Store, tmp_path: Path) -> None:
    mine = belvedere.open(shutil.copytree(store.path, tmp_path / "mine"))
    named = {"a": files.DND_ONE, "b": "Neuron ID,label\n1,ships\n"}
    keys = [take(store, text, name, module="fc").import_id for name, text in named.items()]
    damage(store.path / "imports" / f"{keys[0]}.json")
    part = next(iter(engine(store).folder.imports.read(keys[1]).parts.values()))
    damage(store.path / part)
    found = mine.pull(store.path)
    assert (found.complete, found.names) == (False, ())
    assert found.damaged == (f"imports/{keys[0]}.json: its bytes changed", f"{part}: its bytes changed")
    assert mine.verify().damage == ()


def test_two_that_import_at_once_are_never_both_seen(
    store: belvedere.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, raced = rivals.rivals_of, list[str]()

    def meanwhile(*given: Any) -> list[Import]:
        """Let another process import the same neurons after this one has looked for such an import."""
        found = step(*given)
        if not raced:
            raced.append("begun")
            monkeypatch.setattr(importing_labels, "rivals_of", step)
            raced.append(
                take(belvedere.open(store.path), "Neuron ID,label\n0,b\n", module="layer4").import_id
            )
        return found

    monkeypatch.setattr(importing_labels, "rivals_of", meanwhile)
    with pytest.raises(NameTaken, match="of the same neurons already"):
        take(store, "Neuron ID,label\n0,a\n", module="layer4")
    assert rows(store, "SELECT label, import_id FROM imported_labels") == [("b", raced[1])]


def test_labels_belong_to_weights_under_whatever_name(store: belvedere.Store) -> None:
    take(store, files.DND_ONE, module="fc")
    store.rename("net", "resnet")
    store.add_model("twin", network(), transform=to_tensor, transform_id="another preprocessing")
    store.add_model("net", network(seed=1), transform=to_tensor, transform_id="16 × 16")
    assert rows(store, "SELECT model, neuron FROM imported_labels") == [
        ("resnet", 0),
        ("resnet", 4),
        ("twin", 0),
        ("twin", 4),
    ]
    assert rows(store, "SELECT model FROM imports") == [("resnet, twin",)]
    for name in ("resnet", "twin"):
        store.remove(name)
    assert rows(store, "FROM imported_labels") == []
    assert rows(store, "SELECT model, rows_ok FROM imports") == [(None, 2)]


def test_nothing_takes_imports_away_but_being_named(store: belvedere.Store) -> None:
    found = take(store, files.CLIP_DISSECT)
    store.remove("net")
    assert store.gc(grace=0, max_bytes=0, older_than=0).garbage == ()
    before = objects(store)
    assert len(before) == 2
    (store.path / "imports" / "parts" / f"{'0' * 64}.dead0000.parquet").write_bytes(b"of a process that died")
    assert [(each.count, each.what) for each in store.gc(grace=0).garbage] == [
        (1, "tables of imports that were removed or not finished")
    ]
    assert objects(store) == before
    store.remove_import(found.import_id)
    assert [each.count for each in store.gc(grace=0).garbage] == [1]
    assert objects(store) == {}


@pytest.mark.parametrize("how", [damage, cut, empty, remove])
@pytest.mark.parametrize("kind", ["*.json", "parts/*.parquet"])
def test_damage_is_found_and_never_read_over_and_the_file_mends_it(
    store: belvedere.Store, kind: str, how: Callable[[Path], None]
) -> None:
    take(store, files.MILANNOTATIONS)
    whole = rows(store, "FROM imported_labels")
    assert store.verify().damage == ()
    (path,) = (store.path / "imports").glob(kind)
    how(path)
    relative = str(path.relative_to(store.path))
    if how is remove and kind == "*.json":  # no import is there then, and nothing else says that one was
        assert store.verify().damage == ()
    else:
        found = store.verify().damage
        assert [(each.view, each.path) for each in found] == [("imports", relative)]
        assert "belvedere import labels" in found[0].remedy
        with pytest.raises(DamagedObject, match=f"{path.name} is damaged .*import its file again"):
            rows(store, "FROM imported_labels")
    mended = take(store, files.MILANNOTATIONS)
    assert mended.written
    assert rows(store, "FROM imported_labels") == whole
    assert store.gc(grace=0).removed
    assert (store.verify().damage, len(objects(store))) == ((), 2)


def test_every_bit_of_an_import_counts(store: belvedere.Store) -> None:
    take(store, "Neuron ID,label\n0,a\nx,b\n", module="layer4")
    missed = []
    for path in sorted((store.path / "imports").rglob("*.*")):
        data = path.read_bytes()
        for place in range(0, len(data), 97):
            path.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
            if str(path.relative_to(store.path)) not in {each.path for each in store.verify().damage}:
                missed.append((path.name, place))
        path.write_bytes(data)
    assert missed == []
    assert store.verify().damage == ()


def test_the_record_of_another_import_is_no_record_of_this_one(store: belvedere.Store) -> None:
    first = take(store, files.DND_ONE, module="fc")
    second = take(store, files.DND, module="layer4")
    folder = store.path / "imports"
    shutil.copy(folder / f"{second.import_id}.json", folder / f"{first.import_id}.json")
    assert [(each.unit, each.what) for each in store.verify().damage] == [
        (first.import_id, "it is another import")
    ]
    with pytest.raises(DamagedObject, match=f"it is the record of {second.import_id}"):
        rows(store, "FROM imports")
    store.remove_import(first.import_id)
    assert rows(store, "SELECT import_id FROM imports") == [(second.import_id,)]


def test_a_store_that_is_only_read_shows_imports_and_takes_none(store: belvedere.Store) -> None:
    take(store, files.DND_ONE, module="fc")
    read = belvedere.open(store.path, mode="r")
    assert len(rows(read, "FROM imported_labels")) == 2
    assert take(read, files.DND_ONE, module="fc").there
    assert not take(read, files.DND, module="layer4", preview=True).written
    with pytest.raises(ReadOnlyStore, match='open it with mode="a" to import'):
        take(read, files.DND, module="layer4")
    memory = belvedere.open(store.path, mode="r", memory=True)
    assert take(memory, files.DND, module="layer4").written
    assert len(rows(memory, "FROM imported_labels")) == 14
    assert len(rows(read, "FROM imported_labels")) == 2


def test_imports_are_published_and_join_with_other_tables(store: belvedere.Store) -> None:
    store.publish()
    take(store, files.DND_ONE, module="fc")
    assert {"imported_labels", "imports"} <= set(store.publish().made)
    assert store.publish().made == ()
    query = "SELECT l.label, i.source FROM imported_labels l JOIN imports i USING (import_id) ORDER BY neuron"
    assert rows(store, query) == [("boats at sea", "labels.csv"), ("mens hats", "labels.csv")]
    told = json.loads(
        (store.path / "imports" / f"{rows(store, 'SELECT import_id FROM imports')[0][0]}.json").read_text()
    )
    assert engine(store).folder.imports.read(told["key"]).facts["base"] == 0
