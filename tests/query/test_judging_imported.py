"""Labels that were imported are judged by every measure, as those that are made here."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import torch

import belvedere
from belvedere.store.errors import CannotJudge, DamagedObject, UnknownName
from belvedere.store.sets import Painter
from tests.compute.judges import make_bert
from tests.judged_neurons import CLASSES, EACH, Channels, judged_store, to_tensor
from tests.label_files import written
from tests.opened import Opened
from tests.query.test_judging_labels import NET, OneColour, embedded, judged
from tests.worlds import engine

THEIRS = """Neuron ID,Label 1,Label 2
0,blue,red
1,"I'm sorry, I cannot determine a concept.",green
2, ,
"""
"""Of neuron 0 the label of another one, of 1 first a refusal, of 2 nothing, of 3 not a line."""
COLUMNS = ["neuron", "method", "metric", "label", "reference", "value", "n"]


def take(store: belvedere.Store, text: str = THEIRS, method: str = "theirs", **said: Any) -> str:
    """Import labels of the network's neurons; give the import's key."""
    path = written(store.path.parent, text)
    return store.import_labels(path, model="net", method=method, module="colours", **said).import_id


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with labels by INVERT and imported ones; not to be written to."""
    store = judged_store(tmp_path_factory.mktemp("judged"))
    assert store.view("invert_labels", **NET).fill(progress=False).complete
    take(store)
    return store.path


@pytest.fixture
def store(blank: Path, tmp_path: Path) -> belvedere.Store:
    store = belvedere.open(shutil.copytree(blank, tmp_path / "store"))
    store.add_model("net", Channels().eval(), transform=to_tensor, transform_id="8 × 8")
    return store


def test_the_first_label_of_each_neuron_that_says_something_is_judged(
    store: belvedere.Store, clip: Opened
) -> None:
    found = judged(store, "clip", COLUMNS, method="theirs", references="truth")
    at = embedded(clip, ["red", "a red star", "green", "blue"])
    assert [row[:5] for row in found] == [
        (0, "theirs", "clip_cosine", "blue", "red; a red star"),
        (1, "theirs", "clip_cosine", "green", "green"),
        (2, "theirs", "clip_cosine", None, "blue"),
    ]
    expected = (at["blue"] @ at["red"] + at["blue"] @ at["a red star"]) / 2
    assert [row[5] for row in found[:2]] == pytest.approx([expected, 1], abs=1e-5)
    assert found[2][5] is None


def test_judging_texts_runs_no_picture_through_the_model(store: belvedere.Store) -> None:
    with belvedere.trace() as seen:
        judged(store, "clip", COLUMNS, method="theirs", references="truth")
    assert seen.of("load") == ["clip"]


def test_what_is_judged_stands_in_a_table_of_its_own(store: belvedere.Store) -> None:
    table = store.view("imported_method_labels", method="theirs", **NET).arrow()
    columns = ["neuron", "rank", "label", "status"]
    assert list(zip(*table.select(columns).to_pydict().values(), strict=True)) == [
        (0, 0, "blue", "ok"),
        (1, 0, "green", "ok"),
        (2, 0, None, "blank"),
    ]


def test_a_label_of_a_neuron_alone_goes_before_one_of_a_group(store: belvedere.Store) -> None:
    words = "group,concept_set_words,concept_set_noun_phrases\n"
    take(store, f'{words}"0,2","[(\'sea\', 0.5)]",[]\n0,"[(\'red\', 0.25)]",[]\n', "falcon")
    found = store.view("imported_method_labels", method="falcon", **NET).arrow()
    assert found.select(["neuron", "label", "status"]).to_pylist() == [
        {"neuron": 0, "label": "red", "status": "ok"},
        {"neuron": 2, "label": "sea", "status": "group"},
    ]


def test_of_several_annotators_the_first_that_says_something_is_judged(store: belvedere.Store) -> None:
    take(store, "layer,unit,summary\ncolours,0, \ncolours,0,red things\ncolours,0,blue\n", "people")
    found = store.view("imported_method_labels", method="people", **NET).arrow()
    assert found["label"].to_pylist() == ["red things"]


def test_imported_labels_are_compared_with_those_of_a_method_and_the_other_way(
    store: belvedere.Store, clip: Opened
) -> None:
    at = embedded(clip, [*CLASSES])
    for method, other in (("theirs", "invert"), ("invert", "theirs")):
        found = judged(store, "other", COLUMNS, method=method, other=other)
        assert {row[2] for row in found} == {f"agreement:{other}"}
        assert found[0][5] == pytest.approx(at["blue"] @ at["red"], abs=1e-5)
        assert found[1][5] == pytest.approx(1, abs=1e-5)
        assert found[2][5] is None
        assert len(found) == (3 if method == "theirs" else 4)
    with pytest.raises(CannotJudge, match=r"other='theirs' is the method itself"):
        store.view("label_evaluations", by="other", method="theirs", other="theirs", **NET)


def test_two_imported_methods_are_compared(store: belvedere.Store) -> None:
    take(store, "Neuron ID,Label 1\n0,blue\n1,red\n", "second")
    found = judged(store, "other", COLUMNS, method="theirs", other="second")
    assert [(row[3], row[4]) for row in found] == [("blue", "blue"), ("green", "red"), (None, None)]
    assert found[0][5] == pytest.approx(1, abs=1e-5)
    turned = judged(store, "other", COLUMNS, method="second", other="theirs")
    assert [row[5] for row in turned] == [row[5] for row in found[:2]]


def test_pictures_are_painted_of_imported_labels(store: belvedere.Store) -> None:
    facts, loaded = Painter("plain", "test:plain", {"paints": "one colour"}), OneColour()
    engine(store).folder.names.put_instrument(facts, 0)
    engine(store).residents._instrument = (f"{facts.key} cpu", loaded)
    found = judged(store, "painter", COLUMNS, method="theirs", photos=3)
    values = {(row[0], row[2]): row[5] for row in found}
    assert values[0, "cosy_auc"] < 0.5  # neuron 0 answers to red, and its label is blue
    assert values[1, "cosy_auc"] is None  # green is never painted
    assert values[2, "cosy_auc"] is None
    assert not [prompt for prompt in loaded.asked if "sorry" in prompt]


def test_classes_are_told_by_imported_labels(store: belvedere.Store) -> None:
    take(store, "Neuron ID,Label 1\n0,red\n1,green\n2,blue\n", "right")
    found = judged(store, "classes", COLUMNS, method="right")
    assert {(row[0], row[4]): row[5] for row in found} == {(2, "blue"): 1, (1, "green"): 1, (0, "red"): 1}
    activations = store.view("neuron_activations", **NET)[...]
    of = np.repeat(sorted(CLASSES), EACH)
    assert activations[of == "red", 0].min() > activations[of != "red", 0].max()


def test_a_judge_reads_imported_labels(store: belvedere.Store, tmp_path: Path) -> None:
    store.add_judge("bert", f"bertscore:{make_bert(tmp_path / 'bert')}#2")
    found = judged(store, "judge", COLUMNS, method="theirs", references="truth")
    assert found[1][5] == pytest.approx(1, abs=1e-5)


def test_labels_that_take_the_place_of_others_make_what_was_judged_stale(store: belvedere.Store) -> None:
    asked: dict[str, Any] = {"by": "clip", "method": "theirs", "references": "truth", **NET}
    evaluations = store.view("label_evaluations", **asked)
    evaluations.fill(progress=False)
    take(store, "Neuron ID,Label 1\n0,red\n", replace=True)
    found = store.view("label_evaluations", **asked).status()
    assert (found.ready, found.stale) == (0, 1)
    assert found.causes == ("the labels that were imported by 'theirs' changed",)
    assert [row[:4] for row in judged(store, "clip", COLUMNS, method="theirs", references="truth")] == [
        (0, "theirs", "clip_cosine", "red")
    ]


def test_another_label_of_a_neuron_makes_no_other_block_stale(tmp_path: Path) -> None:
    store, wide = judged_store(tmp_path), Channels()
    wide.colours = torch.nn.Linear(3, 600, bias=False)
    store.add_model("net", wide.eval(), transform=to_tensor, transform_id="8 × 8", replace=True)
    first = take(store, "Neuron ID,Label 1\n0,red\n599,blue\n")
    assert store.view("imported_method_labels", method="theirs", **NET).fill(progress=False).filled == 3
    take(store, "Neuron ID,Label 1\n0,red\n599,green\n", replace=True)
    again = store.view("imported_method_labels", method="theirs", **NET)
    assert (again.status().ready, again.status().stale) == (2, 1)
    assert again.df()["label"].tolist() == ["red", "green"]
    assert first not in str(store.lineage("imported_method_labels", method="theirs", **NET))


def test_what_another_process_imports_is_seen_at_once(store: belvedere.Store) -> None:
    query = "SELECT neuron, label FROM imported_method_labels WHERE method = 'theirs' ORDER BY neuron"
    assert store.sql(query, fill=True).fetchall() == [(0, "blue"), (1, "green"), (2, None)]
    other = belvedere.open(store.path)
    texts = {name: f"Neuron ID,Label 1\n0,{name}\n" for name in ("night", "star")}
    other.remove_import(take(other), dry_run=False)
    keys = [take(other, texts["night"]), take(other, texts["star"], replace=True)]
    assert store.sql(query, fill=True).fetchall() == [(0, "star")]
    for key in reversed(keys):
        other.remove_import(key, dry_run=False)
    assert [take(other, texts["star"]), take(other, texts["night"], replace=True)] == keys[::-1]
    assert store.sql(query, fill=True).fetchall() == [(0, "night")]  # of the same two imports


def test_a_metric_leaves_the_tables_that_have_it(store: belvedere.Store) -> None:
    judged(store, "classes", COLUMNS, method="theirs")
    query = "SELECT neuron, value FROM label_evaluations WHERE metric = 'class_auroc' AND method = 'theirs'"
    assert store.plan(query).most.units == 0
    assert store.sql(query).completeness.complete
    lacking = store.sql(query.replace("class_auroc", "clip_cosine")).completeness
    assert [name for name, each in lacking.views.items() if each.needed > each.ready] == [
        "label_clip_cosines"
    ]
    both = "FROM label_evaluations WHERE metric IN ('class_auroc', 'clip_cosine') AND method = 'theirs'"
    assert store.sql(both, fill=True).completeness.views["label_clip_cosines"].filled == 1


def test_a_declared_view_follows_its_model_to_another_name(store: belvedere.Store) -> None:
    asked: dict[str, Any] = {"by": "clip", "method": "theirs", "references": "truth", **NET}
    store.declare("mine", "label_evaluations", **asked, judge_clip="clip", images="colours")
    store.declare("few", sql="SELECT neuron FROM invert_labels WHERE model = 'net' AND neuron < 2")
    for query in ("FROM mine", "FROM few"):
        assert store.sql(query, fill=True).completeness.complete
    for old, new in (("net", "network"), ("clip", "b16"), ("truth", "real")):
        store.rename(old, new)
    assert len(store.sql("FROM mine").fetchall()) == 3
    store.remove("colours", "images", dry_run=False)
    told = store.publish().left_out
    assert any(each.startswith("mine: ") and "colours" in each for each in told)


def test_a_model_that_is_renamed_and_one_that_is_the_same_have_the_labels(store: belvedere.Store) -> None:
    judged(store, "clip", COLUMNS, method="theirs", references="truth")
    store.rename("net", "network")
    asked: dict[str, Any] = {"by": "clip", "method": "theirs", "references": "truth", "module": "colours"}
    assert store.view("label_evaluations", model="network", **asked).status().ready == 1
    store.add_model("twin", Channels().eval(), transform=to_tensor, transform_id="8 × 8")
    twin = store.view("label_evaluations", model="twin", **asked)
    assert (twin.status().ready, len(twin.df())) == (1, 3)


def test_many_methods_cost_a_statement_no_pairs_of_them(store: belvedere.Store) -> None:
    for number in range(30):
        take(store, f"Neuron ID,Label 1\n0,word {number}\n", f"m{number}")
    judged(store, "other", COLUMNS, method="m3", other="m5")
    store.status()
    store.sql("SELECT * FROM label_agreements WHERE method = 'm3'").completeness  # noqa: B018
    assert len(engine(store).instances) < 1000


def test_sql_finds_what_was_judged_and_names_what_could_be(store: belvedere.Store) -> None:
    statement = (
        "SELECT neuron, value FROM label_evaluations WHERE method = 'theirs' AND metric = 'clip_cosine' "
        "ORDER BY neuron"
    )
    judged(store, "clip", COLUMNS, method="theirs", references="truth")
    assert [row[0] for row in store.sql(statement, fill=True).fetchall()] == [0, 1, 2]
    assert store.sql(statement).completeness.complete
    wrong = store.sql("SELECT * FROM label_evaluations WHERE method = 'thers'").completeness
    assert "did you mean 'theirs'" in str(wrong)


def test_where_they_come_from_is_told(store: belvedere.Store) -> None:
    key = take(store)
    judged(store, "clip", COLUMNS, method="theirs", references="truth")
    asked: dict[str, Any] = {"by": "clip", "method": "theirs", "references": "truth", **NET}
    found = store.lineage("label_evaluations", **asked)
    assert found.complete
    line = next(line for line in str(found).splitlines() if "import " in line)
    assert re.search(rf"import {key}: 3 rows of \S+, labels by theirs, file [0-9a-f]{{8}}$", line)
    assert json.loads(json.dumps(found.to_dict()))["root"]["parameters"]["method"] == "theirs"


def test_labels_that_there_are_not_are_refused_by_name(store: belvedere.Store) -> None:
    asked: dict[str, Any] = {"by": "clip", "references": "truth", "judge_clip": "clip", **NET}
    with pytest.raises(UnknownName, match=r"judged 'clip_disect'; did you mean 'clip_dissect'"):
        store.view("label_evaluations", method="clip_disect", texts="words", clip="clip", **asked)
    with pytest.raises(UnknownName, match=r"judged 'thers'; did you mean 'theirs'"):
        store.view("label_evaluations", **{**asked, "by": "other"}, method="invert", other="thers")
    with pytest.raises(UnknownName, match="no method whose labels were imported 'invert'; there are th"):
        store.view("imported_method_labels", method="invert", **NET)
    judged(store, "clip", COLUMNS, method="theirs", references="truth")
    with pytest.raises(UnknownName, match=r"judged 'thiers'; did you mean 'theirs'"):
        store.view("label_evaluations", method="thiers", **asked)
    store.add_model("same", "demo:clip")
    other: dict[str, Any] = {**asked, "model": "same", "module": "visual.transformer.resblocks.3.mlp.gelu"}
    with pytest.raises(CannotJudge, match=r"by 'theirs' were imported of colours of net, and of no other"):
        store.view("label_evaluations", method="theirs", **other)
    store.remove_import(take(store), dry_run=False)
    with pytest.raises(UnknownName, match="no method whose labels are judged 'theirs'"):
        store.view("label_evaluations", method="theirs", **asked)
    lost = [each for each in store.status() if each.view.startswith("label_clip_cosines")]
    assert [(each.ready, each.stale) for each in lost] == [(0, 1)]
    assert "no method whose labels are judged 'theirs'" in lost[0].causes[0]


def test_a_damaged_import_hides_nothing_and_stops_nothing_else(store: belvedere.Store) -> None:
    for method in ("theirs", "invert"):
        judged(store, "clip", COLUMNS, method=method, references="truth")
    for name, method in (("by_ours", "invert"), ("by_theirs", "theirs")):
        asked: dict[str, Any] = {"by": "clip", "method": method, "references": "truth", **NET}
        store.declare(name, "label_evaluations", **asked)
    for part in (store.path / "imports" / "parts").glob("*.parquet"):
        part.write_bytes(part.read_bytes()[:-1])
    again = belvedere.open(store.path)
    assert again.sql("SELECT count(*) FROM by_ours").fetchall() == [(4,)]
    assert again.work(progress=False).report.filled == 0
    ours = again.view("label_evaluations", by="clip", method="invert", references="truth", **NET)
    assert len(ours.df()) == 4
    found = {each.view: each for each in again.status()}
    assert found["by_ours: label_clip_cosines[net × colours × colours × invert]"].ready == 1
    assert "import its file again" in found["by_theirs"].causes[0]
    theirs = found["label_clip_cosines[net × colours × colours × theirs]"]
    assert (theirs.ready, theirs.stale) == (0, 1)
    assert "import its file again" in theirs.causes[0]
    whose = f"it is of import {take(store, preview=True)}, labels.csv: import its file again"
    with pytest.raises(DamagedObject, match=whose):
        again.sql("SELECT * FROM label_evaluations").fetchall()
    take(again)
    assert again.sql("SELECT count(*) FROM label_clip_cosines").fetchall() == [(7,)]


def test_a_method_of_ours_keeps_its_name(store: belvedere.Store) -> None:
    take(store, method="invert")
    found = judged(store, "clip", COLUMNS, method="invert", references="truth")
    assert [row[3] for row in found] == ["red", "green", "blue", None]
    theirs = "SELECT label FROM imported_method_labels WHERE method = 'invert' AND neuron = 0"
    assert store.sql(theirs, fill=True).fetchall() == [("blue",)]


def test_what_was_judged_is_declared_published_and_pulled(
    store: belvedere.Store, blank: Path, tmp_path: Path
) -> None:
    store.declare("theirs_judged", "label_evaluations", by="clip", method="theirs", references="truth", **NET)
    count = "SELECT count(*) FROM theirs_judged"
    assert store.sql(count, fill=True).fetchall() == [(3,)]
    store.publish()
    with duckdb.connect(str(store.path / "catalog.duckdb"), read_only=True) as catalog:
        assert catalog.sql(count).fetchall() == [(3,)]
    other = belvedere.open(shutil.copytree(blank, tmp_path / "other"))
    asked: dict[str, Any] = {"by": "clip", "method": "theirs", "references": "truth", **NET}
    assert other.view("label_evaluations", **asked).status().ready == 0
    other.pull(store.path)
    assert other.view("label_evaluations", **asked).status().ready == 1
