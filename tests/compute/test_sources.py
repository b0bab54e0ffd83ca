"""Models, images and texts are taken from many places, and bad ones are refused in words."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import belvedere
from belvedere.compute import text_sources
from belvedere.compute.images.decoding import decode
from belvedere.compute.models import sources
from belvedere.store import digest
from belvedere.store.errors import BadSource, NameTaken, UnknownName, UnreadablePicture, UnsupportedTower
from tests.worlds import World, make_clip, picture


def rows(entries: pa.Table, *columns: str) -> list[tuple[object, ...]]:
    return [tuple(row[column] for column in columns) for row in entries.to_pylist()]


def added(store: belvedere.Store, name: str) -> pa.Table:
    return store._engine.folder.names.image_set(name).entries


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures in sub-folders, a text that calls itself a picture, and other things."""
    root = tmp_path / "meine Bilder äöü"
    for name, number in (("zebra/2.png", 2), ("zebra/1.PNG", 1), ("ape/3.png", 3), ("0.png", 0)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(picture(number))
    (root / "ape" / "note.png").write_text("not a picture")
    (root / "ape" / "readme.txt").write_text("nor is this")
    return root


def test_a_folder_gives_its_pictures_in_order_with_classes(store: belvedere.Store, folder: Path) -> None:
    found = store.add_images("all", folder, labels="folder")
    assert (found.count, found.new, found.unreadable) == (5, 5, 1)
    entries = added(store, "all")
    assert rows(entries, "image_id", "label", "width") == [
        (0, None, 16),
        (1, "ape", 16),
        (2, "ape", None),
        (3, "zebra", 16),
        (4, "zebra", 16),
    ]
    assert [Path(str(path)).name for path in entries["path"].to_pylist()] == [
        "0.png",
        "3.png",
        "note.png",
        "1.PNG",
        "2.png",
    ]


def test_globs_lists_and_tables_name_pictures(store: belvedere.Store, folder: Path) -> None:
    assert store.add_images("glob", f"{folder}/*/*.png").count == 3
    assert store.add_images("list", [folder / "zebra" / "2.png", folder / "0.png"]).count == 2
    assert rows(added(store, "list"), "digest") == [(digest.of_bytes(picture(number)),) for number in (2, 0)]
    (folder / "table.csv").write_text("path,label,grp\nape/3.png,ape,zoo\n0.png,,\n", encoding="utf-8-sig")
    store.add_images("csv", folder / "table.csv")
    assert rows(added(store, "csv"), "label", "grp") == [("ape", "zoo"), (None, None)]
    (folder / "places.csv").write_text("path,label,place\nape/3.png,ape,zoo\n0.png,ape,wild\n")
    store.add_images("places", folder / "places.csv")
    assert rows(added(store, "places"), "label", "grp") == [("ape", "zoo"), ("ape", "wild")]
    pq.write_table(pa.table({"path": ["0.png"], "label": ["none"]}), folder / "table.parquet")
    store.add_images("parquet", folder / "table.parquet")
    assert rows(added(store, "parquet"), "label", "grp") == [("none", None)]


def test_what_holds_no_pictures_is_refused(store: belvedere.Store, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadSource, match=r"empty names no pictures; known are \.bmp, \.gif"):
        store.add_images("a", tmp_path / "empty")
    with pytest.raises(BadSource, match="no folder, file or table nowhere"):
        store.add_images("a", "nowhere")
    with pytest.raises(BadSource, match=r"no file .*gone\.png"):
        store.add_images("a", [folder / "0.png", folder / "gone.png"])
    (folder / "bad.csv").write_text("file\n0.png\n")
    with pytest.raises(UnknownName, match=r"no column of .*bad\.csv 'path'; there are file"):
        store.add_images("a", folder / "bad.csv")
    assert store.sql("SELECT image_set FROM image_sets ORDER BY ALL").fetchall() == [("photos",)]


def test_a_name_is_not_taken_over_by_accident(store: belvedere.Store, folder: Path) -> None:
    with pytest.raises(NameTaken, match=r"image set 'photos' stands for 300 images from .*replace=True"):
        store.add_images("photos", folder)
    with pytest.raises(NameTaken, match="text set 'words' stands for 12 texts"):
        store.add_texts("words", ["another"])
    with pytest.raises(belvedere.BelvedereError, match="'a/b' cannot name a set of texts"):
        store.add_texts("a/b", ["text"])
    assert store.add_images("photos", folder, replace=True).count == 5
    assert store.add_texts("words", ["another"], replace=True).count == 1


def test_pictures_that_are_none_are_told_apart_from_those_cut_short() -> None:
    sink = io.BytesIO()
    Image.effect_noise((64, 64), 90).convert("RGB").save(sink, "JPEG")
    with pytest.raises(UnreadablePicture, match="not a picture in a known format"):
        decode(b"hello")
    with pytest.raises(UnreadablePicture, match="truncated"):
        decode(sink.getvalue()[:-400])
    assert decode(sink.getvalue()).size == (64, 64)


def test_a_broken_picture_becomes_an_error_and_the_rest_goes_on(
    world: World, tmp_path: Path, folder: Path
) -> None:
    sink = io.BytesIO()
    Image.effect_noise((64, 64), 90).convert("RGB").save(sink, "JPEG")
    (folder / "cut.jpg").write_bytes(sink.getvalue()[:-400])
    store = belvedere.open(tmp_path / "store")
    store.add_model("m", world.source)
    store.add_images("some", folder)
    report = store.view("head_contributions").fill()
    assert (report.filled, report.failed, report.absent) == (2, 0, 2)
    found = store.sql("SELECT row, path, error, message FROM errors ORDER BY row").fetchall()
    assert [(row, Path(path).name, error) for row, path, error, _ in found] == [
        (2, "note.png", "UnreadablePicture"),
        (3, "cut.jpg", "UnreadablePicture"),
    ]
    assert "truncated" in next(message for _, path, _, message in found if path.endswith("cut.jpg"))


def test_a_file_of_lines_leaves_blank_ones_out(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("a dog\n\n  \n ein Frühstück \nnull\n")
    assert rows(text_sources.find(path), "text_id", "text", "category") == [
        (0, "a dog", None),
        (1, "ein Frühstück", None),
        (2, "null", None),
    ]


def test_a_table_of_texts_has_categories(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text('text,category\n"red, or nearly",colour\nnan,\n\n"",colour\n')
    assert rows(text_sources.find(path), "text", "category") == [("red, or nearly", "colour"), ("nan", None)]


def test_texts_that_are_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "latin.txt").write_bytes("Frühstück".encode("latin-1"))
    (tmp_path / "bad.csv").write_text("words\na dog\n")
    with pytest.raises(BadSource, match=r"empty\.txt holds no texts"):
        text_sources.find(tmp_path / "empty.txt")
    with pytest.raises(BadSource, match=r"latin\.txt is not UTF-8 text"):
        text_sources.find(tmp_path / "latin.txt")
    with pytest.raises(UnknownName, match=r"no column of .*bad\.csv 'text'; there are words"):
        text_sources.find(tmp_path / "bad.csv")
    with pytest.raises(BadSource, match=r"no file .*built-in pools are builtin:general, builtin:words"):
        text_sources.find(tmp_path / "nowhere.txt")
    with pytest.raises(UnknownName, match=r"no pool 'builtin:generl'; did you mean 'builtin:general'\?"):
        text_sources.find("builtin:generl")


def test_built_in_pools_have_categories() -> None:
    for pool, least in (("builtin:general", 1500), ("demo:scenes", 300)):
        entries = text_sources.find(pool)
        assert len(entries) >= least
        assert entries["category"].null_count == 0


def test_a_text_that_is_too_long_is_absent_and_never_cut(store: belvedere.Store) -> None:
    store.add_texts("long", ["a dog", "word " * 50, "a star"])
    view = store.view("text_embeddings", texts="long")
    report = view.fill()
    assert (report.filled, report.absent) == (1, 1)
    with pytest.raises(belvedere.BelvedereError, match=r"no row for text 1 \(needs more than the 12 tokens"):
        view[:]
    assert view[[0, 2]].shape == (2, 12)
    fills = store.view("head_descriptions", texts="long").df()
    assert set(fills["text_id"]) == {0, 2}


def test_sources_of_models_are_taken_apart() -> None:
    found = cast("Any", sources.find("open_clip:ViT-B-32/openai"))
    assert (found.arch, found.weights, found.quick_gelu) == ("ViT-B-32", "openai", True)
    assert not cast("Any", sources.find("open_clip:ViT-B-32/laion2b_s34b_b79k")).quick_gelu


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("open_clip:ViT-B-23/openai", r"no open_clip architecture 'ViT-B-23'; did you mean 'ViT-B-32'\?"),
        ("open_clip:ViT-B-32/opnai", r"no pretrained tag of ViT-B-32 'opnai'; did you mean 'openai'\?"),
        ("open_clip:ViT-B-32", r"says no weights: name a tag \(open_clip:ViT-B-32/openai\) or a file"),
        ("open_clip:local-dir:nowhere", "nowhere is no open_clip model folder"),
        ("demo:clipp", r"no model source 'demo:clipp'; did you mean 'demo:clip'\?"),
    ],
)
def test_models_that_do_not_exist_are_refused_with_the_nearest(source: str, message: str) -> None:
    with pytest.raises((BadSource, UnknownName), match=message):
        sources.find(source)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("open_clip:convnext_large_d/laion2b_s26b_b102k_augreg", r"comes out of an MLP \(Mlp\)"),
        ("open_clip:convnext_large_d_320/laion2b_s29b_b131k_ft", r"comes out of an MLP \(Mlp\)"),
    ],
)
def test_unsupported_towers_are_refused_before_anything_is_loaded(source: str, reason: str) -> None:
    with belvedere.trace() as seen, pytest.raises(UnsupportedTower, match=reason):
        sources.find(source)
    assert seen.of("load") == []


def test_a_checkpoint_of_another_shape_is_refused(store: belvedere.Store, tmp_path: Path) -> None:
    copy = shutil.copytree(make_clip(tmp_path / "clip"), tmp_path / "wider")
    facts = json.loads((copy / "open_clip_config.json").read_text())
    facts["model_cfg"]["vision_cfg"]["width"] = 32
    (copy / "open_clip_config.json").write_text(json.dumps(facts))
    with pytest.raises(BadSource, match=r"cannot be loaded: .*size mismatch"):
        store.add_model("wide", f"open_clip:local-dir:{copy}")
    assert store.sql("SELECT model FROM models").fetchall() == [("m",)]


def test_a_checkpoint_that_is_not_there_is_refused(store: belvedere.Store) -> None:
    with pytest.raises(BadSource, match=r"no checkpoint file gone\.pt"):
        store.add_model("b", "open_clip:ViT-B-32", checkpoint="gone.pt")
    with pytest.raises(BadSource, match="give one of the two"):
        store.add_model("b", "open_clip:ViT-B-32/openai", checkpoint="gone.pt")
    with pytest.raises(BadSource, match="precision 'float8' is none of"):
        store.add_model("b", "demo:clip", precision="float8")  # type: ignore[arg-type]


def test_one_checkpoint_in_two_forms_is_one_model(world: World, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    copy = shutil.copytree(world.clip, tmp_path / "again")
    torch.save(load_file(copy / "open_clip_model.safetensors"), copy / "open_clip_pytorch_model.bin")
    (copy / "open_clip_model.safetensors").unlink()
    store = belvedere.open(tmp_path / "store")
    one = store.add_model("one", world.source)
    two = store.add_model("two", f"open_clip:local-dir:{copy}")
    assert one.identity("image") == two.identity("image")
    assert one.identity("text") == two.identity("text")


def test_the_demo_scenes_are_two_thousand_with_their_truth(store: belvedere.Store) -> None:
    assert store.add_images("scenes", "demo:scenes").count == 2000
    (found,) = rows(added(store, "scenes").slice(7, 1), "path", "label", "grp")
    assert found[0] == "demo:scenes/7"
    assert all(found)


def test_the_first_of_the_demo_scenes_are_a_source_too(store: belvedere.Store) -> None:
    assert store.add_images("few", "demo:scenes[:7]").count == 7
    assert store.add_images("few", "demo:scenes[:9]").new == 2
    for source in ("demo:scenes[:0]", "demo:scenes[:2001]", "demo:scene", "demo:scenes[3:]"):
        with pytest.raises(BadSource, match=r"there are demo:scenes, 2,000 of them, and demo:scenes\[:N\]"):
            store.add_images("other", source)


def test_a_device_that_is_not_there_is_refused_and_nothing_fails_for_it(store: belvedere.Store) -> None:
    heads = store.view("head_contributions")
    for device in ("cuda:9", "abacus"):
        with pytest.raises(BadSource, match=f"no device '{device}' to compute on; there are cpu"):
            heads.fill(device=device)
    assert store.errors() == []
    assert heads.fill(device="cpu").complete


def test_the_table_of_waterbirds_is_read_as_it_is(store: belvedere.Store, tmp_path: Path) -> None:
    header = "img_id,img_filename,y,split,place,place_filename"
    lines = [
        f"{n},{n:03}.Bird/{n}.png,{n % 2},{split},{place},/b/x.jpg"
        for n, (split, place) in enumerate([(0, 0), (0, 1), (1, 0), (2, 1), (2, 0), (2, 1)])
    ]
    for n in range(6):
        (tmp_path / f"{n:03}.Bird").mkdir()
        (tmp_path / f"{n:03}.Bird" / f"{n}.png").write_bytes(picture(n))
    table = tmp_path / "metadata.csv"
    table.write_text("\n".join([header, *lines, ""]))
    assert store.add_images("birds", table).count == 6
    store.add_images("test", f"{table}#test")
    assert rows(added(store, "test"), "label", "grp") == [
        ("waterbird", "water"),
        ("landbird", "land"),
        ("waterbird", "water"),
    ]
    with pytest.raises(BadSource, match="no split 'dev'; it has train, val, test"):
        store.add_images("dev", f"{table}#dev")
    table.write_text("\n".join([header, "0,000.Bird/0.png,2,0,0,x", ""]))
    with pytest.raises(
        BadSource, match=r"row 1 of .* is not as Waterbirds writes them: y=2, place=0, split=0"
    ):
        store.add_images("bad", table)
    plain = tmp_path / "plain.csv"
    plain.write_text("path\n000.Bird/0.png\n")
    with pytest.raises(BadSource, match="has no splits"):
        store.add_images("plain", f"{plain}#test")
