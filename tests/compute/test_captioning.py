"""Captioners of transformers: what they write, what identifies them, and what is refused."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

from belvedere.compute.instruments import captioning
from belvedere.compute.instruments.captioning import LoadedCaptioner
from belvedere.demo.captions import named_rightly
from belvedere.demo.scenes import scene
from belvedere.store import digest
from belvedere.store.errors import BadSource, UnknownName
from tests.compute.captioners import make_blip2, make_llava


@pytest.fixture(scope="module")
def blip2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random BLIP-2."""
    return make_blip2(tmp_path_factory.mktemp("captioners") / "blip2")


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    """Five scenes, one of them in grey and one with transparency."""
    shown = [scene(index).image() for index in range(5)]
    return [*shown[:3], shown[3].convert("L"), shown[4].convert("RGBA")]


def loaded(folder: Path) -> LoadedCaptioner:
    """Load a captioner from its folder."""
    return captioning.find(f"hf:{folder}").load("cpu", "float32")


def greedily(captioner: LoadedCaptioner, picture: Image.Image, least: int) -> str:
    """Caption one picture with a BLIP-2 the slow way: the likeliest token, one after the other."""
    net, processor = captioner.net, captioner.processor
    pixels = processor(images=picture.convert("RGB"), return_tensors="pt")["pixel_values"]
    marks = net.config.text_config
    ids = [net.config.image_token_index] * net.config.num_query_tokens + [marks.bos_token_id]
    asked = len(ids)
    while len(ids) - asked < 32:
        with torch.inference_mode():
            scores = net(pixel_values=pixels, input_ids=torch.tensor([ids])).logits[0, -1].tolist()
        if len(ids) - asked < least - 1:
            scores[marks.eos_token_id] = -math.inf
        ids.append(scores.index(max(scores)))
        if ids[-1] == marks.eos_token_id:
            break
    return str(processor.decode(ids[asked:], skip_special_tokens=True)).strip()


@pytest.mark.parametrize("least", [5, 1])
def test_blip2_writes_the_likeliest_words(blip2: Path, pictures: list[Image.Image], least: int) -> None:
    captioner = loaded(blip2)
    written = captioner.caption(pictures, min_length=least)
    assert written == [greedily(captioner, each, least) for each in pictures]
    assert len(set(written)) > 1


def test_a_caption_does_not_depend_on_its_batch(blip2: Path, pictures: list[Image.Image]) -> None:
    captioner = loaded(blip2)
    together = captioner.caption(pictures)
    assert [captioner.caption([each])[0] for each in pictures] == together
    assert captioner.caption(pictures[::-1]) == together[::-1]
    assert captioner.caption([]) == []
    assert all(len(each.split()) <= 3 for each in captioner.caption(pictures, max_new_tokens=3))


class Cramped:
    """A model on a device with room for two pictures."""

    def __init__(self, net: Any) -> None:
        self._net, self.dtype = net, net.dtype
        self.tried: list[int] = []

    def generate(self, *, pixel_values: torch.Tensor, **asked: Any) -> torch.Tensor:
        """Write, or tell as torch does that there is no room."""
        self.tried.append(len(pixel_values))
        if len(pixel_values) > 2:
            raise torch.OutOfMemoryError("no room")
        written: torch.Tensor = self._net.generate(pixel_values=pixel_values, **asked)
        return written


def test_batches_are_halved_until_the_device_has_room(blip2: Path, pictures: list[Image.Image]) -> None:
    whole = loaded(blip2)
    cramped = LoadedCaptioner(Cramped(whole.net), whole.processor, whole.device)
    assert cramped.caption(pictures) == whole.caption(pictures)
    assert cramped.net.tried == [5, 2, 2, 1]
    assert cramped.caption(pictures[:3]) == whole.caption(pictures[:3])
    assert cramped.net.tried[4:] == [2, 1]


def test_a_model_that_chats_is_asked(tmp_path: Path, pictures: list[Image.Image]) -> None:
    captioner = loaded(make_llava(tmp_path / "llava"))
    written = captioner.caption(pictures)
    assert [captioner.caption([each])[0] for each in pictures] == written
    assert not any("picture" in each for each in captioner.caption(pictures, max_new_tokens=1))


def test_the_demo_captioner_names_what_is_in_a_scene() -> None:
    scenes = [scene(index) for index in range(200)]
    captioner = captioning.find("demo:captioner").load("cpu", "float32")
    shares = named_rightly(
        captioner.caption([each.image() for each in scenes]), [each.caption for each in scenes]
    )
    assert min(shares.values()) >= 0.9


def test_a_captioner_is_its_contents_and_not_its_folder(blip2: Path, tmp_path: Path) -> None:
    facts = captioning.find(f"hf:{blip2}").facts()
    copy = shutil.copytree(blip2, tmp_path / "copy")
    assert captioning.find(f"hf:{copy}").facts() == facts
    assert str(blip2.parent) not in json.dumps(facts)
    assert len(digest.of_facts(facts)) == 64
    _change(copy / "generation_config.json", repetition_penalty=1.5)
    assert _differing(facts, copy) == ["architecture"]
    shutil.rmtree(copy)
    shutil.copytree(blip2, copy)
    net = transformers.Blip2ForConditionalGeneration.from_pretrained(copy)
    torch.nn.init.zeros_(net.query_tokens)
    net.save_pretrained(copy)
    assert _differing(facts, copy) == ["weights"]
    (copy / "model.safetensors").unlink()
    state = transformers.Blip2ForConditionalGeneration.from_pretrained(blip2).state_dict()
    torch.save({name: value.clone() for name, value in state.items()}, copy / "pytorch_model.bin")
    assert len(captioning.find(f"hf:{copy}").facts()["weights"]) == 64


def _change(path: Path, **entries: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def _differing(facts: dict[str, Any], folder: Path) -> list[str]:
    now = captioning.find(f"hf:{folder}").facts()
    return [name for name in facts if facts[name] != now[name]]


def test_sources_that_are_no_captioner_are_refused(tmp_path: Path) -> None:
    bare, vit, broken = tmp_path / "bare", tmp_path / "vit", tmp_path / "broken"
    bare.mkdir()
    transformers.ViTConfig().save_pretrained(vit)
    broken.mkdir()
    (broken / "config.json").write_text("[1]")
    for source, kind, message in (
        ("blip", UnknownName, r"no source of captioners 'blip'; there are demo:captioner, hf:FOLDER"),
        ("demo:captoner", UnknownName, "did you mean 'demo:captioner'"),
        ("hf:./nowhere", BadSource, r"no folder \./nowhere; a repository .* OWNER/MODEL"),
        (f"hf:{bare}", BadSource, r"is no folder of a transformers model: there is no config\.json in it"),
        (f"hf:{vit}", BadSource, r"a model of type 'vit', which writes no texts .* BLIP-2 \('blip-2'\) do"),
        (f"hf:{broken}", BadSource, "holds a list, and not a configuration by name"),
    ):
        with pytest.raises(kind, match=message):
            captioning.find(source)


def test_folders_that_lack_something_are_refused(blip2: Path, tmp_path: Path) -> None:
    for name, message in (
        (
            "model.safetensors",
            r"holds no weights: there is none of diffusion_pytorch_model\.safetensors, model",
        ),
        ("tokenizer.json", "the processor of hf:.* cannot be loaded"),
    ):
        copy = shutil.copytree(blip2, tmp_path / name)
        (copy / name).unlink()
        with pytest.raises(BadSource, match=message):
            captioning.find(f"hf:{copy}").facts()
        with pytest.raises(BadSource, match="cannot be loaded"):
            captioning.find(f"hf:{copy}").load("cpu", "float32")
    less = shutil.copytree(blip2, tmp_path / "less")
    weights = load_file(less / "model.safetensors")
    del weights["language_projection.weight"]
    save_file(weights, less / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        BadSource, match=r"no weights for 1 parameters of Blip2.* language_projection\.weight"
    ):
        captioning.find(f"hf:{less}").load("cpu", "float32")
    torn = shutil.copytree(blip2, tmp_path / "torn")
    (torn / "model.safetensors").write_bytes((blip2 / "model.safetensors").read_bytes()[:500])
    with pytest.raises(BadSource, match=r"model\.safetensors cannot be read as weights"):
        captioning.find(f"hf:{torn}").facts()
    with pytest.raises(BadSource, match="precision 'float8' is none of"):
        captioning.find(f"hf:{blip2}").load("cpu", "float8")
    with pytest.raises(BadSource, match="no device 'tpu:9' to compute on; there are cpu"):
        captioning.find(f"hf:{blip2}").load("tpu:9", "float32")
