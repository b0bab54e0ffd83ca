"""Figures are written whole, as PNG or SVG, and refused by name where there is nothing to draw."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import Image

import belvedere
from belvedere.query.figures import ablation, heads, neuron, segmentation, text_sets
from belvedere.query.seeing.heads import Names
from belvedere.store.errors import BadDestination, BadSelection, BadSource, UnknownName
from tests.worlds import make_clip

OF: dict[str, Any] = {"model": "clip", "images": "scenes", "texts": "pool"}
GELU = "visual.transformer.resblocks.3.mlp.gelu"


@pytest.fixture
def full(spare: Path) -> Iterator[belvedere.Store]:
    """A store with the roles of the demo model's heads over forty scenes."""
    with belvedere.open(spare) as store:
        yield store


def test_a_head_is_drawn_with_its_descriptions_as_words(full: belvedere.Store, tmp_path: Path) -> None:
    path = full.figure("head", tmp_path / "head.svg", place="3.1", **OF)
    drawn = path.read_text()
    (first,) = full.sql(
        "SELECT description FROM head_descriptions WHERE layer = 3 AND head = 1 AND rank = 0"
    ).fetchall()[0]
    assert "Head 1 of layer 3" in drawn
    assert first[:20] in drawn


def test_a_neuron_is_drawn_without_labels_too(full: belvedere.Store, tmp_path: Path) -> None:
    names: dict[str, Any] = {"model": "clip", "images": "scenes"}
    path = full.figure("neuron", tmp_path / "neuron.png", place=f"{GELU}:7", **names)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000
    drawn = neuron.draw(full, f"{GELU}:7", names)
    rows = full.top(f"{GELU}:7", **names, count=neuron.IMAGES, progress=False).rows
    said = [f"{each:#.3g}".rstrip(".") for each in rows.activation]
    assert [axes.get_title() for axes in drawn.axes[:10]] == said
    spread = [each.get_height() for each in cast("Any", drawn.axes[10].patches)]
    assert sum(spread) == 40  # every image is in the spread
    assert "nothing yet: belvedere fill neuron_labels" in words_of(drawn)


@pytest.fixture(scope="module")
def classed(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> belvedere.Store:
    """The same store with classes and a second set of texts."""
    store = belvedere.open(shutil.copytree(whole, tmp_path_factory.mktemp("classed") / "store"))
    store.add_texts("classes", "demo:classes")
    store.add_texts("words", ["a circle", "a star", "red", "night", "dots"])
    return store


def words_of(figure: Any) -> str:
    """Give all that is written on a figure."""
    from matplotlib.text import Text

    return "\n".join(each.get_text() for each in figure.findobj(Text))


def widths(axes: Any) -> list[float]:
    """Give the lengths of the bars of a plot."""
    return [float(each.get_width()) for each in axes.patches]


def points(axes: Any) -> list[list[float]]:
    """Give the places across of each kind of points."""
    return [[float(x) for x, _ in each.get_offsets()] for each in axes.collections]


def lines(axes: Any) -> dict[str, list[float]]:
    """Give the heights of each line by what it is called."""
    return {str(each.get_label()): [float(y) for y in each.get_ydata()] for each in axes.lines}


def test_all_heads_are_drawn_by_what_they_write(full: belvedere.Store) -> None:
    drawn = heads.draw(full, Names("clip", "scenes", "pool"))
    (table,) = [axes for part in drawn.subfigs for axes in part.axes if axes.collections or axes.images][:1]
    shares = full.sql(
        "SELECT category, max(share) FROM (SELECT layer, head, category, sum(variance) AS share FROM "
        "head_descriptions JOIN texts USING (text_set, text_id) WHERE category IS NOT NULL GROUP BY ALL) "
        "GROUP BY category"
    ).fetchall()
    values: Any = (table.images or table.collections)[0].get_array()
    assert values.max() == pytest.approx(max(share for _, share in shares), rel=1e-4)
    written = words_of(drawn)
    assert "What the heads of “clip” write" in written
    assert all(category in written for category, _ in shares)


def test_ablations_are_drawn_with_their_parameters(classed: belvedere.Store) -> None:
    inputs: dict[str, Any] = {"model": "clip", "images": "scenes", "texts": "classes"}
    for mode in ("mean", "zero"):
        table = classed.view("ablations", **inputs, mode=mode).df()
        rows = table[table.metric == "accuracy"].set_index("components").value
        bars, layers = ablation.draw(classed, inputs, {"mode": mode}).axes
        assert widths(bars) == pytest.approx([100 * rows[name] for name in ablation.BATTERY])
        line = list(lines(layers).values())[1]
        assert line == pytest.approx([100 * rows[f"layers 0-{layer}"] for layer in range(4)])
    asked = {"heads": ["layer = 3", "head = 0"], "draws": 2, "ablate_mlps": True}
    drawn = ablation.draw(classed, inputs, asked)
    assert "draws=2, ablate_mlps=True" in words_of(drawn)
    table = classed.view("ablations", **inputs, heads="head = 0", draws=2, ablate_mlps=True).df()
    mine = table[table.metric == "accuracy"].set_index("components").value
    assert points(drawn.axes[2])[3:] == [
        [100 * mine["mlps + heads"]],
        list(100 * mine["mlps + random"]),
        [100 * mine["none"]],
    ]


def test_conditions_for_which_there_is_no_room_are_counted(
    classed: belvedere.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs: dict[str, Any] = {"model": "clip", "images": "scenes", "texts": "classes"}
    for condition in ("layer = 3", "head = 0", "head = 1"):
        classed.view("ablations", **inputs, heads=condition, draws=1).fill(progress=False)
    monkeypatch.setattr(ablation, "CONDITIONS", 2)
    written = words_of(ablation.draw(classed, inputs, {"draws": 1}))
    assert "1 more condition is kept, and not drawn" in written
    assert "layer = 3" not in written
    every = words_of(ablation.draw(classed, inputs, {"draws": 1, "heads": ["layer = 3"]}))
    assert "layer = 3 (4)" in every
    assert "not drawn" not in every


def test_a_head_that_was_ablated_in_another_tower_hinders_no_figure(
    classed: belvedere.Store, tmp_path: Path
) -> None:
    store = belvedere.open(shutil.copytree(classed.path, tmp_path / "store"))
    store.add_model("small", f"open_clip:local-dir:{make_clip(tmp_path / 'small')}")
    inputs: dict[str, Any] = {"images": "scenes", "texts": "classes"}
    assert store.view("ablations", model="clip", **inputs, heads="3.0", draws=1).fill().complete
    written = words_of(ablation.draw(store, {"model": "small", **inputs}, {"draws": 1}))
    assert "3.0" not in written


def test_text_sets_are_drawn_with_their_parameters(classed: belvedere.Store) -> None:
    inputs: dict[str, Any] = {"model": "clip", "images": "scenes", "texts": "words"}
    found = []
    for layers in (4, 1):
        asked: dict[str, Any] = {"classes": "classes", "layers": layers}
        rows = classed.view("text_set_accuracies", **inputs, **asked).df()
        (axes,) = text_sets.draw(classed, inputs, asked).axes
        drawn = lines(axes)
        expected = 100 * rows[rows.kept == "texts"].accuracy
        assert drawn["texts of “words”"] == pytest.approx(list(expected[:6]))  # of five texts, and of none
        assert expected.iloc[5:].nunique() == 1
        assert drawn["the model"][0] == pytest.approx(100 * rows[rows.kept == "model"].accuracy.iloc[0])
        found.append(drawn["random vectors"])
    assert found[0] != found[1]
    classed.view("text_set_accuracies", **{**inputs, "texts": "pool"}, **asked).fill(progress=False)
    (axes,) = text_sets.draw(classed, inputs, asked).axes
    assert list(lines(axes))[:2] == ["texts of “words”", "texts of “pool”"]


def test_methods_of_segmentation_are_drawn_the_best_on_top(classed: belvedere.Store) -> None:
    inputs: dict[str, Any] = {"model": "clip", "images": "scenes", "texts": "classes"}
    methods = ["decomposition", "rollout"]
    found = classed.segment(methods, **inputs, progress=False).sort_values("mean_iou")
    drawn = segmentation.draw(classed, inputs, method=methods)
    for axes, measure in zip(drawn.axes, segmentation.MEASURES, strict=True):
        assert widths(axes) == pytest.approx(list(100 * found[measure]))
    assert [each.get_text() for each in drawn.axes[0].get_yticklabels()] == list(found.method)


def test_parameters_that_a_figure_does_not_have_are_refused(classed: belvedere.Store, tmp_path: Path) -> None:
    for kind, place in (("heads", None), ("head", "3.1"), ("neuron", f"{GELU}:7")):
        with pytest.raises(BadSource, match=f"the figure '{kind}' takes no parameters, and so not layers=…"):
            classed.figure(kind, tmp_path / "a.png", place=place, layers=1)
    inputs: dict[str, Any] = {"model": "clip", "images": "scenes", "texts": "classes"}
    for kind in ("ablation", "segmentation"):
        with pytest.raises(UnknownName, match="'nonsense'"):
            classed.figure(kind, tmp_path / "a.png", **inputs, nonsense=3)
    with pytest.raises(UnknownName, match="'nonsense'"):
        classed.figure("textsets", tmp_path / "a.png", **OF, classes="classes", nonsense=3)
    assert not list(tmp_path.iterdir())


def test_the_same_figure_has_the_same_bytes(full: belvedere.Store, tmp_path: Path) -> None:
    both = [full.figure("head", tmp_path / f"{name}.svg", place="2.0", **OF) for name in "ab"]
    assert both[0].read_bytes() == both[1].read_bytes()


def test_what_cannot_be_drawn_is_refused_and_no_file_is_there(full: belvedere.Store, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="no figure 'hedas'; did you mean 'heads'"):
        full.figure("hedas", tmp_path / "a.png", **OF)
    with pytest.raises(BadSource, match=r"written as \.png or as \.svg"):
        full.figure("heads", tmp_path / "a.jpg", **OF)
    with pytest.raises(BadSource, match="is of one head: name it"):
        full.figure("head", tmp_path / "a.png", **OF)
    with pytest.raises(BadSource, match="of no single head or neuron"):
        full.figure("heads", tmp_path / "a.png", place="3.1", **OF)
    with pytest.raises(BadSelection, match=r"no head 9\.9"):
        full.figure("head", tmp_path / "a.png", place="9.9", **OF)
    (tmp_path / "there.png").write_text("mine")
    with pytest.raises(BadDestination):
        full.figure("head", tmp_path / "there.png", place="3.1", **OF)
    assert (tmp_path / "there.png").read_text() == "mine"
    assert [each.name for each in tmp_path.glob("*.*g")] == ["there.png"]
