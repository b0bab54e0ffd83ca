"""Neurons are called by what they are known to be about, by three methods; useless ones are not labelled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import transformers
from PIL import Image

import belvedere
from belvedere.compute.neurons.overlap import enlarged
from belvedere.compute.views.clip_dissect_labels import ClipDissectLabels
from belvedere.demo.scenes import test_scenes as scenes
from belvedere.demo.words import FORMS
from belvedere.query.lazy.table import LazyTable
from belvedere.store.errors import BadSource, NotAnnotated, UnsuitableModule
from tests.known_neurons import COLOURS, GROUNDS, SCENES, store_of
from tests.worlds import World, add_pictures

FIRST = ["module", "neuron", "method", "rank", "label", "score", "score_name", "status"]
STATES = ["ok"] * 6 + ["dead", "constant", "tied"]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> belvedere.Store:
    """A store with a network whose neurons are known; what a test computes, the next ones find."""
    store = store_of(tmp_path_factory.mktemp("known") / "store")
    store.add_texts("words", "demo:scenes")
    return store


def dissected(
    store: belvedere.Store, texts: str = "words", images: str = "scenes", **params: Any
) -> LazyTable:
    """Ask for CLIP-Dissect's labels of the backgrounds' neurons, by the demo's CLIP."""
    view = ClipDissectLabels(
        activations=store.view("neuron_activations", model="known", images=images, module="grounds")._view,
        pictures=store.view("image_embeddings", model="clip", images=images)._view,
        texts=store.view("text_embeddings", model="clip", texts=texts)._view,
        **params,
    )
    return LazyTable(store._engine, view)


def best(table: LazyTable) -> pd.DataFrame:
    """Fetch the rows of rank 0, in the order of the neurons."""
    rows = table.df()
    assert (rows.groupby("neuron")["rank"].apply(list).map(lambda each: each == list(range(len(each))))).all()
    return rows[rows["rank"] == 0].set_index("neuron")


def test_the_statistics_of_neurons_are_those_of_their_activations(known: belvedere.Store) -> None:
    rows = known.view("neuron_statistics", model="known", images="scenes", module="grounds").df()
    values = known.view("neuron_activations", model="known", images="scenes", module="grounds")[...].astype(
        np.float64
    )
    assert list(rows.columns) == [
        *("model", "image_set", "module", "neuron", "images", "mean", "std", "minimum", "maximum"),
        *("nonzero", "ties", "status"),
    ]
    assert rows["status"].tolist() == STATES
    assert rows["ties"].tolist() == [1] * 6 + [SCENES, SCENES, int(values[:, 8].sum())]
    assert (rows["images"] == SCENES).all()
    for name, expected in (
        ("mean", values.mean(0)),
        ("std", values.std(0)),
        ("minimum", values.min(0)),
        ("maximum", values.max(0)),
        ("nonzero", (values != 0).mean(0)),
    ):
        np.testing.assert_allclose(rows[name], expected, atol=1e-12)
    sparse = known.view("neuron_statistics", model="known", images="scenes", module="grounds", top_k=100).df()
    assert sparse["status"].tolist() == STATES


def test_clip_dissect_names_what_a_neuron_is_about(known: belvedere.Store) -> None:
    table = dissected(known, top_k=40)
    assert list(table.columns) == ["model", "image_set", "text_set", *FIRST, "text_id", "clip"]
    found = best(table)
    words = {
        ground: {word for form in FORMS["background"][ground] for word in form.values()} for ground in GROUNDS
    }
    for neuron, ground in enumerate(GROUNDS):
        assert any(word in found["label"][neuron] for word in words[ground])
    texts = known._engine.folder.names.text_set("words").texts
    assert [texts[int(each)] for each in found["text_id"][:6]] == found["label"][:6].tolist()
    assert found["status"].tolist() == STATES
    assert found["label"][6:].isna().all()
    assert found["score"][6:].isna().all()
    assert (found["model"] == "known").all()
    assert (found["method"] == "clip_dissect").all()
    assert (found["score_name"] == "soft_wpmi").all()


@pytest.mark.parametrize("similarity", ["wpmi", "rank_reorder", "cos_similarity", "cos_similarity_cubed"])
def test_other_similarities_label_the_same_neurons(known: belvedere.Store, similarity: str) -> None:
    found = best(dissected(known, similarity=similarity, top_k=40))
    assert found["label"].isna().tolist() == [False] * 6 + [True] * 3
    assert (found["score_name"] == similarity).all()


def test_as_many_texts_are_shown_as_are_asked_for(known: belvedere.Store) -> None:
    counts = [len(dissected(known, top_k=40, m=m).df()) for m in (1, 20)]
    assert counts == [6 + 3, 6 * 20 + 3]
    assert dissected(known, top_k=40, m=2).plan().units == 0


def test_words_that_look_like_nothing_stay_words(known: belvedere.Store, tmp_path: Path) -> None:
    """A concept list with blank lines, quotes, "null", "nan" and a word that is there twice."""
    words = [
        "null",
        "",
        "snow",
        "nan",
        '"on water"',
        "   ",
        "NA",
        "snow",
        "a night's sky",
        "None",
        "brick,wall",
    ]
    (tmp_path / "words.txt").write_text("\n".join(words))
    known.add_texts("odd", tmp_path / "words.txt")
    rows = dissected(known, texts="odd", top_k=40, m=20).df()
    labels = rows[rows["neuron"] == 0]["label"].tolist()
    assert sorted(labels) == sorted({word for word in words if word.strip()})
    kept = known._engine.folder.names.text_set("odd").texts
    rows = rows[rows["status"] == "ok"]
    assert [kept[int(each)] for each in rows["text_id"]] == rows["label"].tolist()
    assert best(dissected(known, texts="odd", top_k=40))["label"][5] == "snow"


def test_labels_do_not_depend_on_the_order_of_the_texts(known: belvedere.Store) -> None:
    texts = known._engine.folder.names.text_set("words").texts
    known.add_texts("turned", list(reversed(texts)))
    ours, theirs = (best(dissected(known, texts=name, top_k=40)) for name in ("words", "turned"))
    assert ours["label"].tolist() == theirs["label"].tolist()
    np.testing.assert_allclose(ours["score"], theirs["score"], rtol=1e-9)


def test_of_neurons_that_cannot_be_labelled_none_counts_in_the_mean(known: belvedere.Store) -> None:
    """The highest score is the logarithm of the neurons that were compared."""
    assert dissected(known, top_k=40).df()["score"].max() == pytest.approx(np.log(6))


def test_invert_names_the_class_that_a_neuron_tells(known: belvedere.Store) -> None:
    table = known.view("invert_labels", model="known", images="scenes", module="grounds")
    assert list(table.columns) == ["model", "image_set", *FIRST, "length", "positives"]
    found = best(table)
    assert found["label"][:6].tolist() == list(GROUNDS)
    assert found["label"][8] == "night"
    assert found["status"].tolist() == ["ok"] * 6 + ["dead", "constant", "ok"]
    assert found["label"][6:8].isna().all()
    values = known.view("neuron_activations", model="known", images="scenes", module="grounds")[...]
    truth = scenes(SCENES)
    for neuron, ground in enumerate(GROUNDS):
        there = np.array([scene.background == ground for scene in truth])
        inside, outside = values[there, neuron][:, None], values[~there, neuron]
        auroc = ((inside > outside) + (inside == outside) / 2).mean()
        assert found["score"][neuron] == pytest.approx(auroc)
        assert found["positives"][neuron] == there.sum()
    single = known.view(
        "invert_labels", model="known", images="scenes", module="grounds", length=1, beam=2
    ).df()
    assert set(single["length"].dropna()) == {1}
    assert len(single) == 7 * 2 + 2


def test_network_dissection_names_the_concept_that_is_where_a_neuron_is_active(
    known: belvedere.Store,
) -> None:
    params: dict[str, Any] = {"model": "known", "images": "scenes", "module": "colours", "mask_side": 64}
    table = known.view("network_dissection_labels", **params)
    assert list(table.columns) == ["model", "image_set", *FIRST, "threshold"]
    found = best(table)
    assert found["label"].tolist() == list(COLOURS)
    maps = known.view("activation_maps", model="known", images="scenes", module="colours")[...]
    masks = known.view("concept_masks", model="known", images="scenes", mask_side=64)
    truth, names = masks[...], masks._view.concepts
    for neuron, colour in enumerate(COLOURS):
        large = enlarged(maps[:, neuron], 64, 64)
        threshold = np.sort(maps[:, neuron].reshape(-1))[::-1][int(0.005 * maps[:, neuron].size)]
        assert found["threshold"][neuron] == threshold
        active, there = large > threshold, truth[:, names.index(colour)]
        assert found["score"][neuron] == pytest.approx((active & there).sum() / (active | there).sum())


def test_masks_are_where_the_scenes_were_painted(known: belvedere.Store) -> None:
    masks = known.view("concept_masks", model="known", images="scenes", mask_side=64)
    assert (masks.dims, masks.shape) == (("image", "concept", "y", "x"), (SCENES, 26, 64, 64))
    names = masks._view.concepts
    scene = scenes(SCENES)[7]
    things = scene.masks.any(axis=0)
    for place, name in enumerate(names):
        expected = ~things if name == scene.background else things & (name in scene.attributes.values())
        np.testing.assert_array_equal(masks[7, place], expected)
    np.testing.assert_array_equal(masks[5:9, 3:20, ::3, 7:40], masks[...][5:9, 3:20, ::3, 7:40])


def test_a_picture_that_is_no_scene_has_no_masks_and_is_left_out(
    known: belvedere.Store, tmp_path: Path
) -> None:
    files = []
    for scene in scenes(40):
        files.append(tmp_path / f"{scene.index:05}.png")
        files[-1].write_bytes(scene.png())
    Image.new("RGB", (64, 64), "teal").save(files[9])
    known.add_images("mixed", files)
    masks = known.view("concept_masks", model="known", images="mixed")
    assert masks.fill().absent == 1
    assert masks.read(missing="mask").mask[:, 0, 0, 0].sum() == 1
    with pytest.raises(belvedere.BelvedereError, match="it was added without a mask"):
        masks[...]
    params = {"model": "known", "module": "colours"}
    with_one = known.view("network_dissection_labels", images="mixed", **params).df()
    known.add_images("rest", [*files[:9], *files[10:]])
    without = known.view("network_dissection_labels", images="rest", **params).df()
    columns = ["neuron", "rank", "label", "score", "threshold"]
    pd.testing.assert_frame_equal(with_one[columns], without[columns])


def test_pictures_that_one_model_could_not_read_are_left_out(known: belvedere.Store, tmp_path: Path) -> None:
    rows = ["path,label,group"]
    for scene in scenes(60):
        rows.append(f"{scene.index}.png,{scene.label},{scene.grp}")
        (tmp_path / f"{scene.index}.png").write_bytes(scene.png())
    (tmp_path / "whole.csv").write_text("\n".join(rows))
    (tmp_path / "60.png").write_bytes(b"no picture")
    (tmp_path / "broken.csv").write_text("\n".join([*rows, "60.png,star,night"]))
    for name in ("whole", "broken"):
        known.add_images(name, tmp_path / f"{name}.csv")
    tables = []
    for images in ("whole", "broken"):
        invert = known.view("invert_labels", model="known", images=images, module="grounds")
        statistics = known.view("neuron_statistics", model="known", images=images, module="grounds")
        tables.append(
            [each.df().iloc[:, 3:] for each in (dissected(known, images=images, top_k=8), invert, statistics)]
        )
    for ours, theirs in zip(*tables, strict=True):
        pd.testing.assert_frame_equal(ours, theirs)


def test_images_that_tell_nothing_are_refused(store: belvedere.Store, world: World, tmp_path: Path) -> None:
    gelu = "visual.transformer.resblocks.1.mlp.gelu"
    with pytest.raises(
        NotAnnotated, match="the images 'photos' have no classes to tell apart: add them again"
    ):
        store.view("invert_labels", module=gelu)
    with pytest.raises(
        NotAnnotated, match="the images 'photos' have no masks of concepts: add them again with masks"
    ):
        store.view("network_dissection_labels", module=gelu)
    with pytest.raises(
        UnsuitableModule, match=r"'visual' cannot be taken: it gives one number a neuron; neurons without"
    ):
        store.view("activation_maps", module="visual")
    assert store.view("activation_maps", module=gelu).shape == (300, 64, 2, 2)
    store.add_images("others", add_pictures(tmp_path / "others", range(4)))
    view = store.view("clip_dissect_labels", module=gelu, images="photos")._view
    pictures = store.view("image_embeddings", images="others")._view
    with pytest.raises(BadSource, match="the activations are of 'photos', the embeddings of 'others'"):
        replace(view, pictures=pictures)


@pytest.mark.parametrize(
    ("view", "params", "message"),
    [
        ("clip_dissect_labels", {"m": 21}, "m=21: from 1 to 20 texts of each neuron are kept"),
        ("clip_dissect_labels", {"top_k": 0}, "top_k=0, a=10.0: top_k is from 1, and a above 0"),
        ("clip_dissect_labels", {"p_end": 0.999}, "p_start=0.998, p_end=0.999: 0 < p_end <= p_start <= 1"),
        ("invert_labels", {"beam": 0}, "length=3, beam=0: both start at 1"),
        ("invert_labels", {"most": 1.5}, "least=10, most=1.5: least is a number of images from 1"),
        ("network_dissection_labels", {"m": 11}, "m=11: from 1 to 10 concepts of each neuron are kept"),
        ("network_dissection_labels", {"quantile": 1.0}, "quantile=1.0: it is a share of all positions"),
        ("neuron_statistics", {"top_k": 0}, "top_k=0: it is a number of images from 1"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(
    known: belvedere.Store, view: str, params: Any, message: str
) -> None:
    gelu = "visual.transformer.resblocks.1.mlp.gelu"
    texts = {"texts": "words"} if view == "clip_dissect_labels" else {}
    with pytest.raises(BadSource, match=message):
        known.view(view, model="clip", images="scenes", module=gelu, **texts, **params)


def test_a_condition_on_one_neuron_asks_for_its_whole_layer(store: belvedere.Store) -> None:
    table = store.view("clip_dissect_labels", module="visual.transformer.resblocks.1.mlp.gelu")
    assert table.where("neuron = 3").plan().by_view()["clip_dissect_labels"] == 1
    assert len(table.where("neuron = 3").df()) == 5
    assert table.plan().units == 0
    store.add_texts("words", ["a dog", "a boat"], replace=True)
    assert (
        store.view("clip_dissect_labels", module="visual.transformer.resblocks.1.mlp.gelu").status().stale
        == 1
    )


def test_masks_lie_where_the_models_own_preprocessing_looks(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store")
    sizes: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    folder, side = tmp_path / "vit", {"height": 64, "width": 64}
    transformers.ViTModel(transformers.ViTConfig(**sizes, image_size=64)).save_pretrained(folder)
    transformers.ViTImageProcessor(do_resize=False, size=side).save_pretrained(folder)
    store.add_model("vit", f"hf:{folder}")
    asked: dict[str, Any] = {"images": "scenes", "mask_side": 64}
    masks = store.view("concept_masks", model="vit", **asked)[:20]
    np.testing.assert_array_equal(masks, store.view("concept_masks", model="known", **asked)[:20])
    conv = "embeddings.patch_embeddings.projection"
    found = store.view("network_dissection_labels", model="vit", images="scenes", module=conv).df()
    assert found["status"].tolist() == ["ok"] * len(found)
