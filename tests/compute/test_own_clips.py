"""Models of images and texts that are given as modules are what the same models are from their folders."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
import transformers
from PIL import Image
from torch import nn

import belvedere
from belvedere.compute.models import sources
from belvedere.compute.models.families import two_sided
from belvedere.compute.models.tokenizers import vocabulary
from belvedere.demo import clip_dir
from belvedere.demo.tokenizer import build_tokenizer, save_tokenizer
from belvedere.store.errors import BadSource, NameTaken, NoTextTower
from tests.compute.test_other_towers import PATCHES, TEXT, TIMM, clip_of_transformers, folder_of
from tests.helping import helping
from tests.worlds import SIDE, add_pictures

TOWERS: dict[str, tuple[dict[str, Any], int]] = {
    "class token": ({"image_size": SIDE, "patch_size": 8, "layers": 2, "width": 16, "head_width": 8}, 12),
    "custom text": ({**PATCHES, "attentional_pool": True, "attn_pooler_heads": 2}, 24),
    "resnet": ({"image_size": 64, "layers": [1, 1, 1, 1], "width": 16}, 24),
    "timm": ({**TIMM, "image_size": 64, "timm_model_name": "convnext_tiny"}, 24),
}
WORDS = ["a red circle", "two blue squares", "a boat"]


@pytest.fixture
def store(tmp_path: Path) -> belvedere.Store:
    """A store of a few pictures and words."""
    store = belvedere.open(tmp_path / "store")
    store.add_images("photos", add_pictures(tmp_path / "photos", range(5)))
    store.add_texts("words", WORDS)
    return store


def given(source: str) -> dict[str, Any]:
    """Open a model folder with open_clip itself, as somebody does who then gives the model to a store."""
    folder = f"local-dir:{source.removeprefix('open_clip:local-dir:')}"
    net, _, transform = open_clip.create_model_and_transforms(folder)
    tokenizer = open_clip.get_tokenizer(folder)
    return {
        "source": net.eval(),
        "transform": transform,
        "transform_id": "open_clip's own",
        "tokenizer": tokenizer,
    }


@pytest.mark.parametrize("kind", TOWERS)
def test_a_clip_of_open_clip_is_what_it_is_from_its_folder(
    store: belvedere.Store, tmp_path: Path, kind: str
) -> None:
    source = folder_of(tmp_path / "net", *TOWERS[kind])
    folder = store.add_model("folder", source)
    mine = store.add_model("mine", **given(source))
    assert (mine.shape, [*mine.modules]) == (folder.shape, [*folder.modules])
    for fact in ("vocabulary", "context_length"):
        assert mine.text["tokenizer"][fact] == folder.text["tokenizer"][fact]
    for view in ("image_embeddings", "head_contributions", "residual_contributions", "token_contributions"):
        one, other = (store.view(view, model=name)[...] for name in ("folder", "mine"))
        np.testing.assert_array_equal(one, other, err_msg=view)
    one, other = (store.view("text_embeddings", model=name)[...] for name in ("folder", "mine"))
    np.testing.assert_array_equal(one, other)
    told = [store.view("head_descriptions", model=name, m=2).df() for name in ("folder", "mine")]
    assert told[0].drop(columns="model").equals(told[1].drop(columns="model"))


def test_its_text_tower_is_taken_apart_and_its_text_neurons_are_there(
    store: belvedere.Store, tmp_path: Path
) -> None:
    source = folder_of(tmp_path / "net", *TOWERS["class token"])
    store.add_model("mine", **given(source))
    heads, mlps, rest = (
        store.view(f"text_{name}_contributions", model="mine")[...] for name in ("head", "mlp", "residual")
    )
    total = heads.sum((1, 2)) + mlps.sum(1) + rest.sum(1)
    np.testing.assert_allclose(total, store.view("text_embeddings", model="mine")[...], atol=1e-6)
    found = store.view("text_neuron_activations", model="mine", module="transformer.resblocks.0.mlp.gelu")
    assert np.isfinite(found[...]).all()


def test_a_clip_of_transformers_is_what_it_is_from_its_folder(store: belvedere.Store, tmp_path: Path) -> None:
    net: Any = sources.find(folder_of(tmp_path / "ours", *TOWERS["class token"])).build("float32")
    twin = clip_of_transformers(net, TEXT)
    twin.save_pretrained(tmp_path / "theirs")
    processor = transformers.CLIPImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    processor.save_pretrained(tmp_path / "theirs")
    save_tokenizer(build_tokenizer(), tmp_path / "theirs")
    store.add_model("folder", f"hf:{tmp_path / 'theirs'}")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "theirs")

    def transform(picture: Any) -> torch.Tensor:
        pixels: torch.Tensor = processor(images=picture, return_tensors="pt")["pixel_values"][0]
        return pixels

    mine = store.add_model("mine", twin, transform=transform, transform_id="theirs", tokenizer=tokenizer)
    assert mine.text["tokenizer"]["context_length"] == 24
    for view in ("image_embeddings", "head_contributions", "mlp_contributions", "text_embeddings"):
        one, other = (store.view(view, model=name)[...] for name in ("folder", "mine"))
        np.testing.assert_array_equal(one, other, err_msg=view)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_it_computes_in_half_precision(store: belvedere.Store, tmp_path: Path, precision: Any) -> None:
    source = folder_of(tmp_path / "net", *TOWERS["class token"])
    store.add_model("whole", source)
    store.add_model("mine", **given(source), precision=precision)
    for view in ("head_contributions", "text_embeddings"):
        one, other = (store.view(view, model=name)[...] for name in ("whole", "mine"))
        np.testing.assert_allclose(one, other, atol=0.05, err_msg=view)


def test_each_side_is_known_by_its_own_weights(store: belvedere.Store, tmp_path: Path) -> None:
    asked = given(folder_of(tmp_path / "net", *TOWERS["class token"]))
    first = store.add_model("first", **asked)
    store.view("head_contributions", model="first").fill(progress=False)
    store.view("text_embeddings", model="first").fill(progress=False)
    with torch.no_grad():
        asked["source"].text_projection.mul_(2)
    other = store.add_model("other", **asked)
    assert first.image == other.image
    assert first.text != other.text
    assert store.view("head_contributions", model="other").status().ready == 1
    assert store.view("text_embeddings", model="other").status().ready == 0
    with torch.no_grad():
        asked["source"].visual.proj.mul_(2)
    third = store.add_model("third", **asked)
    assert third.image != other.image
    assert third.text == other.text


def test_without_a_tokenizer_images_alone_are_embedded(store: belvedere.Store, tmp_path: Path) -> None:
    asked = given(folder_of(tmp_path / "net", *TOWERS["class token"]))
    tokenizer = asked.pop("tokenizer")
    store.add_model("mine", **asked)
    assert store.view("head_contributions")[...].shape == (5, 2, 2, 12)
    with pytest.raises(NoTextTower, match="embeds no texts; if it can, add it with its tokenizer"):
        store.view("text_embeddings")
    with pytest.raises(NameTaken, match="stands for module:CLIP at float32, without a tokenizer"):
        store.add_model("mine", **asked, tokenizer=tokenizer)
    store.add_model("mine", **asked, tokenizer=tokenizer, replace=True)
    assert store.view("head_contributions").status().ready == 1
    assert store.view("text_embeddings")[...].shape == (3, 12)


def test_a_store_that_is_opened_again_asks_for_the_module_with_its_tokenizer(
    store: belvedere.Store, tmp_path: Path
) -> None:
    asked = given(folder_of(tmp_path / "net", *TOWERS["class token"]))
    store.add_model("mine", **asked)
    before = store.view("text_embeddings")[...]
    again = belvedere.open(store.path)
    again.add_texts("more", ["a horse"])
    np.testing.assert_array_equal(again.view("text_embeddings", texts="words")[...], before)
    again.add_model("mine", **asked)
    assert again.view("text_embeddings", texts="more")[...].shape == (1, 12)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"source": "demo:clip", "transform": None, "transform_id": None},
            "demo:clip has its own",
        ),
        ({"source": nn.Conv2d(3, 4, 8).eval()}, "Conv2d has neither encode_text nor get_text_features"),
        ({"tokenizer": str.split}, "is neither one of open_clip's .* nor of transformers'"),
    ],
)
def test_a_tokenizer_that_is_of_no_use_is_refused(
    store: belvedere.Store, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    asked = {**given(folder_of(tmp_path / "net", *TOWERS["class token"])), **changed}
    with pytest.raises(BadSource, match=message):
        store.add_model("mine", **asked)


def test_tokenizers_that_clean_texts_otherwise_are_two(store: belvedere.Store, tmp_path: Path) -> None:
    asked = given(folder_of(tmp_path / "net", *TOWERS["class token"]))
    store.add_texts("words", ["A Red_Circle, and more!", "two   blue squares"], replace=True)
    found = []
    for name, clean in (("lower", "lower"), ("canonical", "canonicalize")):
        tokenizer = open_clip.SimpleTokenizer(context_length=asked["tokenizer"].context_length, clean=clean)
        store.add_model(name, **{**asked, "tokenizer": tokenizer})
        found.append(store.view("text_embeddings", model=name)[...])
        with torch.inference_mode():
            expected = asked["source"].encode_text(tokenizer(["A Red_Circle, and more!"]))
        np.testing.assert_allclose(found[-1][0], expected[0] / expected.norm(), atol=1e-6)
    assert np.abs(found[0][0] - found[1][0]).max() > 1e-3


def test_a_tokenizer_of_transformers_is_the_same_whatever_it_was_called_with(
    store: belvedere.Store, tmp_path: Path
) -> None:
    save_tokenizer(build_tokenizer(), tmp_path / "words")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "words")
    before = vocabulary(tokenizer)
    tokenizer(WORDS, padding="max_length", max_length=9, truncation=True)
    assert vocabulary(tokenizer) == before


def test_texts_that_are_filled_up_on_their_left_are_refused(store: belvedere.Store, tmp_path: Path) -> None:
    asked = given(folder_of(tmp_path / "net", *TOWERS["class token"]))
    save_tokenizer(build_tokenizer(), tmp_path / "words")
    words = transformers.AutoTokenizer.from_pretrained(tmp_path / "words", padding_side="left")
    with pytest.raises(BadSource, match="fills texts up on their left"):
        store.add_model("mine", **{**asked, "tokenizer": words})


def test_what_becomes_of_a_tokenizer_later_changes_nothing(store: belvedere.Store, tmp_path: Path) -> None:
    asked = given(folder_of(tmp_path / "net", *TOWERS["class token"]))
    store.add_model("mine", **asked)
    asked["tokenizer"].context_length = 3
    asked["tokenizer"].clean_fn = str.upper
    assert store.view("text_embeddings")[...].shape == (3, 12)


@pytest.mark.parametrize("cleans", [functools.partial(str.replace, "a", "b"), str.upper])
def test_what_cleans_texts_is_part_of_a_tokenizer(
    store: belvedere.Store, tmp_path: Path, cleans: Any
) -> None:
    asked = given(folder_of(tmp_path / "net", *TOWERS["class token"]))
    first = store.add_model("first", **asked)
    asked["tokenizer"].clean_fn = cleans
    assert two_sided.settings(asked["tokenizer"]) != first.text["tokenizer"]["settings"]
    asked["tokenizer"].clean_fn = Upper()
    with pytest.raises(BadSource, match="nothing identifies what clean_fn of the tokenizer does"):
        store.add_model("second", **asked)


def test_a_tokenizer_of_open_clip_that_holds_one_of_transformers_is_taken(store: belvedere.Store) -> None:
    folder = f"local-dir:{clip_dir()}"
    net, _, transform = open_clip.create_model_and_transforms(folder)
    asked = {"transform": transform, "transform_id": "its own", "tokenizer": open_clip.get_tokenizer(folder)}
    store.add_model("demo", "demo:clip")
    store.add_model("mine", net.eval(), **asked)
    one, other = (store.view("text_embeddings", model=name)[...] for name in ("demo", "mine"))
    np.testing.assert_array_equal(one, other)


class Upper:
    """Cleans texts, as nobody can tell how."""

    def __call__(self, text: str) -> str:
        return text.upper()


def twin_of(tmp_path: Path) -> tuple[Any, Any]:
    """A small CLIP of transformers, and its preprocessing."""
    net: Any = sources.find(folder_of(tmp_path / "ours", *TOWERS["class token"])).build("float32")
    processor = transformers.CLIPImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    return clip_of_transformers(net, TEXT), lambda picture: processor(images=picture, return_tensors="pt")[
        "pixel_values"
    ][0]


def test_a_projection_of_another_kind_is_refused(store: belvedere.Store, tmp_path: Path) -> None:
    twin, transform = twin_of(tmp_path)
    twin.visual_projection = nn.Sequential(twin.visual_projection, nn.GELU()).eval()
    with pytest.raises(BadSource, match="get_image_features of CLIPModel makes something else of an image"):
        store.add_model("mine", twin, transform=transform, transform_id="theirs")


def test_texts_that_need_a_mask_are_refused(store: belvedere.Store, tmp_path: Path) -> None:
    twin, transform = twin_of(tmp_path)
    twin.config.model_type = "chinese_clip"
    save_tokenizer(build_tokenizer(), tmp_path / "words")
    words = transformers.AutoTokenizer.from_pretrained(tmp_path / "words")
    with pytest.raises(BadSource, match="texts are embedded by those of clip and siglip"):
        store.add_model("mine", twin, transform=transform, transform_id="theirs", tokenizer=words)


def test_a_clip_of_transformers_compares_neurons_with_words(store: belvedere.Store, tmp_path: Path) -> None:
    twin, transform = twin_of(tmp_path)
    save_tokenizer(build_tokenizer(), tmp_path / "words")
    words = transformers.AutoTokenizer.from_pretrained(tmp_path / "words")
    mine = store.add_model("mine", twin, transform=transform, transform_id="theirs", tokenizer=words)
    pictures = [Image.new("RGB", (20, 20), colour) for colour in ("teal", "red")]
    found = helping(store).embeddings(mine, pictures)
    with torch.inference_mode():
        stacked = torch.stack([transform(each) for each in pictures])
        expected = twin.get_image_features(pixel_values=stacked).pooler_output
    np.testing.assert_allclose(found, torch.nn.functional.normalize(expected, dim=-1), atol=1e-6)


class Sharper(open_clip.model.CLIP):  # type: ignore[misc]  # open_clip has no types
    """A CLIP whose embedding of an image is not its vision tower's."""

    def encode_image(self, image: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        found: torch.Tensor = self.visual(image) ** 2
        return found


class Photo(nn.Module):
    """A module that has a part called visual, and is no model of two sides."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.visual(pixels) * 2
        return found


def test_what_makes_more_of_an_image_than_its_tower_is_refused(
    store: belvedere.Store, tmp_path: Path
) -> None:
    asked = given(folder_of(tmp_path / "net", *TOWERS["class token"]))
    asked["source"].__class__ = Sharper
    with pytest.raises(BadSource, match="encode_image of Sharper makes something else of an image"):
        store.add_model("mine", **asked)
    photo = Photo(asked["source"].visual).eval()
    mine = store.add_model("photo", photo, transform=asked["transform"], transform_id="same")
    assert mine.tower is None
    assert "visual.transformer.resblocks.0.mlp" in mine.modules


@pytest.mark.parametrize("length", [12, 77])
def test_a_tokenizer_of_another_length_is_refused(
    store: belvedere.Store, tmp_path: Path, length: int
) -> None:
    asked = given(folder_of(tmp_path / "net", *TOWERS["class token"]))
    asked["tokenizer"] = open_clip.SimpleTokenizer(context_length=length)
    with pytest.raises(
        BadSource, match=f"CLIP does not take what its tokenizer gives, {length} tokens a text"
    ):
        store.add_model("mine", **asked)


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x80\x02"], ids=["empty", "text", "cut"])
def test_a_file_that_is_no_checkpoint_is_called_so(
    store: belvedere.Store, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "file.pt").write_bytes(content)
    with pytest.raises(BadSource, match="the file is no checkpoint of torch's or of safetensors"):
        store.add_model("m", "open_clip:ViT-S-32-alt", checkpoint=tmp_path / "file.pt")
