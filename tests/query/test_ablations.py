"""Accuracies with components ablated are those of the published experiment, written out literally."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import belvedere
from belvedere.store.errors import BadSource, NotAnnotated
from belvedere.testing import ViewContract
from tests.worlds import World, add_pictures

IMAGES, BROKEN = 60, 7
LABELS, GROUPS = ["dog", "star", "boat"], ["day", "night"]
LAYERS, HEADS = 2, 2


def table(photos: Path, rows: list[tuple[int, str, str]]) -> Path:
    path = photos / f"table{len(rows)}.csv"
    lines = [f"{number:05}.png,{label},{grp}" for number, label, grp in rows]
    path.write_text("\n".join(["path,label,grp", *lines, ""]))
    return path


@pytest.fixture(scope="module")
def ready(world: World, tmp_path_factory: pytest.TempPathFactory) -> belvedere.Store:
    """A store of pictures with classes and groups, one of which is broken."""
    folder = tmp_path_factory.mktemp("ablations")
    photos = add_pictures(folder / "photos", range(IMAGES))
    (photos / f"{BROKEN:05}.png").write_text("broken")
    store = belvedere.open(folder / "store")
    store.add_model("m", world.source)
    rows = [(number, LABELS[number % 3], GROUPS[number % 5 % 2]) for number in range(IMAGES)]
    store.add_images("photos", table(photos, rows))
    store.add_images("plain", photos)
    store.add_images("half", table(photos, [*rows[:20], (20, "dog", "")]))
    store.add_texts("kinds", LABELS, templates=["a small {}", "no {}"])
    store.add_texts("words", ["a large dog", "a small hat", "a boat"])
    return store


def accuracies(frame: Any, metric: str = "accuracy") -> dict[str, float]:
    found = frame[(frame["metric"] == metric) & frame["draw"].isna()]
    return dict(zip(found["components"], found["value"], strict=True))


def dense(store: belvedere.Store, convention: str) -> tuple[Any, ...]:
    """Read the arrays that the published code writes, in float64: attn, mlp, cls_attn, classifier."""

    def read(name: str, **given: str) -> Any:
        images = {} if name == "class_embeddings" else {"images": "photos"}
        view = store.view(name, model="m", **images, **given)
        view.fill(progress=False)
        return np.asarray(view.read(missing="mask")).astype(float)

    heads = read("head_contributions", convention=convention)
    mlps = read("mlp_contributions", convention=convention)
    rest = read("residual_contributions", convention=convention)
    cls = read("token_contributions", convention=convention)[:, :, :, 0].sum(axis=2)
    if convention == "clip_prs":
        mlps, rest = np.concatenate([rest, mlps], axis=1), rest[:, :0]
    return heads, mlps, cls, rest, read("class_embeddings", texts="kinds")


def battery(arrays: list[Any], classifier: Any, truth: Any) -> dict[str, float]:
    """The published experiment: each array by its mean over the images, then the largest logit."""
    heads, mlps, cls, rest = arrays
    attn, mlp, other = heads.sum(axis=(1, 2)), mlps.sum(axis=1), rest.sum(axis=1)
    no_cls = (heads.sum(axis=2) - cls + cls.mean(axis=0)).sum(axis=1)
    no_mlp = mlp.mean(axis=0)
    named = {
        "none": attn + mlp,
        "mlps": attn + no_mlp,
        "class token": no_cls + mlp,
        "mlps + class token": no_cls + no_mlp,
    }
    for layer in range(LAYERS):
        kept, mean = heads[:, layer + 1 :].sum(axis=(1, 2)), heads[:, : layer + 1].mean(axis=0)
        named[f"layers 0-{layer}"] = kept + mean.sum(axis=(0, 1)) + mlp
    return {
        name: float((((each + other) @ classifier.T).argmax(axis=1) == truth).mean())
        for name, each in named.items()
    }


@pytest.mark.parametrize("convention", ["own", "clip_prs"])
def test_the_battery_is_the_published_one(ready: belvedere.Store, convention: str) -> None:
    found = ready.view("ablations", images="photos", texts="kinds", convention=convention)
    assert found.fill(progress=False).complete
    there = np.arange(IMAGES) != BROKEN
    arrays = [each[there] for each in dense(ready, convention)[:4]]
    truth = (np.arange(IMAGES) % 3)[there]
    expected = battery(arrays, dense(ready, convention)[4], truth)
    assert accuracies(found.df()) == pytest.approx(expected)
    assert len(set(expected.values())) > 2  # else it would show nothing
    assert set(found.df()["images"][found.df()["metric"] == "accuracy"]) == {IMAGES - 1}


@pytest.mark.parametrize("convention", ["own", "clip_prs"])
def test_the_class_token_is_token_0(ready: belvedere.Store, convention: str) -> None:
    asked = {"model": "m", "images": "photos", "convention": convention}
    one, tokens = ready.view("class_token_contributions", **asked), ready.view("token_contributions", **asked)
    assert one.dims == ("image", "layer", "head", "joint")
    assert np.allclose(one[8:20], tokens[8:20][:, :, :, 0], atol=1e-6)
    assert np.array_equal(one[8:20, 1, [0]], one[8:20][:, 1, [0]])


@pytest.mark.parametrize("mode", ["mean", "zero", "class_mean"])
@pytest.mark.parametrize("convention", ["own", "clip_prs"])
def test_heads_of_a_condition_are_ablated(ready: belvedere.Store, mode: str, convention: str) -> None:
    condition = "layer = 1 AND head = 0 OR layer = 0 AND head = 1"
    asked: dict[str, Any] = {"heads": condition, "mode": mode, "convention": convention}
    asked |= {"draws": 3, "ablate_mlps": True}
    found = ready.view("ablations", images="photos", texts="kinds", **asked).df()
    heads, mlps, _, _, classifier = dense(ready, convention)
    whole = ready.view("image_embeddings", images="photos").read(missing="mask")
    there = np.arange(IMAGES) != BROKEN
    truth = np.arange(IMAGES) % 3
    chosen = heads[:, 1, 0] + heads[:, 0, 1]
    grp = np.array([GROUPS[number % 5 % 2] for number in range(IMAGES)])
    for name, taken in {
        "none": 0 * chosen,
        "mlps": mlps.sum(axis=1),
        "mlps + heads": chosen + mlps.sum(axis=1),
    }.items():
        put = np.zeros_like(taken)
        for label in range(3):
            same = there & (truth == label)
            put[same] = {"mean": taken[there], "zero": 0 * taken[there], "class_mean": taken[same]}[
                mode
            ].mean(0)
        named = ((np.asarray(whole).astype(float) - taken + put) @ classifier.T).argmax(axis=1)
        mine = found[(found["components"] == name) & found["draw"].isna()]
        for row in mine.to_dict("records"):
            cell = there.copy()
            if isinstance(row["label"], str):
                cell &= truth == LABELS.index(row["label"])
            if isinstance(row["grp"], str):
                cell &= grp == row["grp"]
            assert row["images"] == cell.sum(), row
            assert row["value"] == pytest.approx((named == truth)[cell].mean()), row
        groups = mine[mine["metric"] == "group accuracy"]
        assert len(groups) == 6
        worst = mine[mine["metric"] == "worst group accuracy"].iloc[0]
        assert worst["value"] == groups["value"].min()
    random = found[found["components"] == "mlps + random"]
    assert sorted(set(random["draw"])) == [0, 1, 2]
    assert set(random["head_count"]) == {2}
    assert set(found["mode"]) == {mode}
    assert set(found["heads"]) == {condition}


def test_the_battery_does_not_depend_on_draws(ready: belvedere.Store) -> None:
    asked = {"images": "photos", "texts": "kinds"}
    for heads, keys in ((None, 1), ("layer = 0", 2)):
        views = [ready.view("ablations", **asked, heads=heads, draws=draws)._view for draws in (1, 2)]
        assert len({view.units[0].key for view in views}) == keys


def test_of_two_conditions_both_have_rows(ready: belvedere.Store) -> None:
    for condition in ("layer = 0", "head = 1"):
        assert ready.view("ablations", images="photos", texts="kinds", heads=condition).fill(progress=False)
    found = ready.sql(
        "SELECT heads, count(DISTINCT draw) FROM ablations WHERE image_set = 'photos' AND text_set = 'kinds' "
        "AND heads IN ('layer = 0', 'head = 1') AND metric = 'accuracy' GROUP BY heads ORDER BY heads"
    )
    assert found.fetchall() == [("head = 1", 10), ("layer = 0", 10)]


def test_rows_of_every_mode_that_was_filled_are_told_apart_by_its_column(ready: belvedere.Store) -> None:
    named = {"images": "photos", "texts": "kinds", "heads": "head = 1 AND layer > 0"}
    pinned = "image_set = 'photos' AND text_set = 'kinds' AND heads = 'head = 1 AND layer > 0'"
    statement = f"SELECT mode, count(*) FROM ablations WHERE {pinned} GROUP BY mode ORDER BY mode"
    for mode in ("mean", "zero"):
        assert ready.view("ablations", **named, mode=mode).fill(progress=False).complete
    assert [mode for mode, _ in ready.sql(statement).fetchall()] == ["mean", "zero"]
    one = ready.sql(f"SELECT DISTINCT mode FROM ablations WHERE {pinned} AND mode = 'zero'")
    assert (one.fetchall(), one.completeness.complete) == ([("zero",)], True)
    of_classes = f"SELECT count(*) FROM ablations WHERE {pinned} AND mode = 'class_mean'"
    assert not ready.sql(of_classes).completeness.complete
    assert ready.sql(of_classes, fill=True).fetchone() != (0,)
    assert [mode for mode, _ in ready.sql(statement).fetchall()] == ["class_mean", "mean", "zero"]


def test_a_condition_that_nothing_was_filled_with_is_never_called_complete(ready: belvedere.Store) -> None:
    for view in ("ablations", "class_logits"):
        ready.view(view, images="photos", texts="kinds", heads="layer = 0").fill(progress=False)
        named = "image_set = 'photos' AND text_set = 'kinds'"
        asked = f"SELECT count(*) FROM {view} WHERE {named} AND heads = 'layer = 9'"
        for fill in (False, True):
            said = ready.sql(asked, fill=fill).completeness
            assert not said.complete
            assert f"{view} lacks 1 of 1 units" in str(said)
        there = ready.sql(asked.replace("9", "0"))
        assert there.completeness.complete
        for either in ("heads IN ('layer = 0', 'layer = 1')", "(heads = 'layer = 1' OR heads = 'layer = 0')"):
            both = f"SELECT count(DISTINCT heads) FROM {view} WHERE {named} AND {either}"
            assert f"{view} lacks 1 of 2 units" in str(ready.sql(both).completeness)
        assert ready.sql(both, fill=True).fetchone() == (2,)
        misspelt = ready.sql(both.replace("layer = 1", "layr = 1"))
        wrong = f"{view}: there is nothing with heads='layr = 1' ('layr = 1' is no condition on heads: "
        assert str(misspelt.completeness).startswith(wrong)


def test_labels_that_are_no_classes_are_refused_with_some_of_each(ready: belvedere.Store) -> None:
    with pytest.raises(NotAnnotated, match=r"60 of 60 have other labels \('dog', 'star', 'boat'\) than the"):
        ready.view("ablations", images="photos", texts="words")
    with pytest.raises(NotAnnotated, match=r"other labels \(no label\) than the classes of 'kinds' \('dog'"):
        ready.view("ablations", images="plain", texts="kinds")
    with pytest.raises(NotAnnotated, match="no group for each image: 1 of 21 have none"):
        ready.view("ablations", images="half", texts="kinds")


def test_without_groups_there_are_no_group_accuracies(ready: belvedere.Store, tmp_path: Path) -> None:
    statement = "SELECT image_set, image_id FROM images WHERE image_set = 'photos' AND grp = 'day'"
    ready.add_images("day", sql=statement, replace=True)
    found = ready.view("ablations", images="day", texts="kinds").df()
    assert set(found[found["metric"] == "group accuracy"]["grp"]) == {"day"}
    source = ready._engine.folder.names.image_set("photos").entries["path"].to_pylist()
    lines = [f"{path},{LABELS[number % 3]}" for number, path in enumerate(source)]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label", *lines, ""]))
    ready.add_images("ungrouped", tmp_path / "labels.csv", replace=True)
    found = ready.view("ablations", images="ungrouped", texts="kinds").df()
    assert set(found["metric"]) == {"accuracy", "class accuracy"}


def test_all_heads_and_no_heads_are_refused(ready: belvedere.Store) -> None:
    for condition, said in (
        ("layer >= 0", "chooses all 4 heads"),
        ("layer > 5", "chooses none of the heads"),
    ):
        report = ready.view("ablations", images="photos", texts="kinds", heads=condition).fill(progress=False)
        assert not report.complete
        assert said in " ".join(each.message for each in ready.errors())


def test_heads_that_the_tower_lacks_are_refused(ready: belvedere.Store) -> None:
    ready.declare("odd", sql="SELECT * FROM (VALUES (0, 2)) t(layer, head)")
    report = ready.view("ablations", images="photos", texts="kinds", heads="odd").fill(progress=False)
    assert not report.complete
    said = " ".join(each.message for each in ready.errors())
    assert "'odd' has head 0.2; there are 2 layers of 2 heads, counted from 0" in said


def test_what_makes_no_sense_is_refused(ready: belvedere.Store) -> None:
    asked = {"images": "photos", "texts": "kinds"}
    with pytest.raises(BadSource, match="draws=-1"):
        ready.view("ablations", **asked, draws=-1)
    with pytest.raises(BadSource, match="draws=1000000000: it is a number of sets from 0 to 10,000"):
        ready.view("ablations", **asked, heads="1.0", draws=10**9)
    with pytest.raises(BadSource, match="ablate_mlps goes with heads"):
        ready.view("ablations", **asked, ablate_mlps=True)


class TestAblations(ViewContract):
    view = "ablations"
    parameters: ClassVar[Mapping[str, Any]] = {"heads": "layer = 2", "draws": 2}

    def ask(self, store: belvedere.Store) -> Any:
        """Add the classes, and ask."""
        store.add_texts("shapes", "demo:classes")
        return store.view(self.view, model="clip", images="scenes", texts="shapes", **self.parameters)


def test_what_was_filled_with_other_parameters_has_a_status(ready: belvedere.Store) -> None:
    asked = {"images": "photos", "texts": "kinds", "heads": "layer = 0"}
    for draws in (10, 2):
        assert ready.view("ablations", **asked, draws=draws).fill(progress=False).complete
    usual = "ablations[m × photos × kinds × layer = 0 × mean]"
    assert {f"{usual}", f"{usual} with draws=2"} <= {each.view for each in ready.status()}
    ready.add_texts("kinds", ["dog", "star", "boat", "hat"], replace=True)
    assert {each.view: each.fresh for each in ready.status()}[f"{usual} with draws=2"] is False


def test_of_images_that_cannot_be_counted_a_statement_says_why(ready: belvedere.Store) -> None:
    answer = ready.sql("SELECT * FROM ablations WHERE image_set = 'half' AND text_set = 'kinds'")
    said = "ablations: there is nothing with image_set='half' (the images 'half' have no group for each image"
    assert str(answer.completeness).startswith(said)


def test_rows_that_nobody_can_ask_for_any_more_are_told(ready: belvedere.Store) -> None:
    ready.declare("strong", sql="SELECT * FROM (VALUES (0, 1)) t(layer, head)")
    asked = {"images": "photos", "texts": "kinds"}
    assert ready.view("ablations", **asked, heads="strong").fill(progress=False).complete
    ready.drop("strong")
    (found,) = [each for each in ready.status() if "strong" in each.view]
    assert (found.view, found.ready, found.stale) == ("ablations[m × photos × kinds × strong × mean]", 0, 1)
    assert found.causes[0].startswith("no declared view 'strong'")
    named = "image_set = 'photos' AND text_set = 'kinds'"
    statement = f"SELECT * FROM ablations WHERE heads = 'strong' AND {named}"
    said = "ablations: there is nothing with heads='strong' (no declared view 'strong'"
    assert str(ready.sql(statement, fill=True).completeness).startswith(said)
    (line,) = ready.gc(dry_run=False).garbage
    assert line.what == "tables of declared views that were dropped, and what they chose heads for"
    assert line.count == 3
    assert not [each for each in ready.status() if "strong" in each.view]


def test_status_of_what_has_a_parameter_that_more_than_one_name_can_be(ready: belvedere.Store) -> None:
    asked = {"images": "photos", "texts": "kinds", "classes": "kinds"}
    assert ready.view("text_set_accuracies", **asked, layers=1).fill(progress=False).complete
    ready.add_texts("others", ["a dog", "a star"], replace=True)
    mine = [each for each in ready.status() if each.view.startswith("text_set_accuracies")]
    assert [(each.view.endswith("with layers=1"), each.fresh) for each in mine] == [(True, True)]
