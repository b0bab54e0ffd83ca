"""Painters: what identifies one, what a picture depends on, and what is said in the place of a picture."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file

from belvedere.compute.instruments.painting import LoadedPainter, Painter, Unpainted, find
from belvedere.compute.instruments.paintings import Asked, Paintings
from belvedere.store import sets as registered
from belvedere.store.errors import BadSource, UnknownName
from tests.painters import random_painter

ASKED = (("red stars", 5), ("three blue hearts", 6), ("in the night sky", 7))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline of random weights; not to be written to."""
    return random_painter(tmp_path_factory.mktemp("painter") / "random")


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(folder, tmp_path / "another name")


@pytest.fixture(scope="session")
def loaded(folder: Path) -> LoadedPainter:
    return find(f"diffusers:{folder}").load("cpu", "float32")


def pixels(painted: Sequence[Image.Image | Unpainted]) -> NDArray[np.int64]:
    """Stack pictures, all of which have to be there."""
    assert not any(isinstance(each, Unpainted) for each in painted)
    return np.stack([np.asarray(each) for each in painted]).astype(np.int64)


def rewrite(path: Path, **changes: Any) -> None:
    """Change entries of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def change_weights(path: Path, name: str, value: float) -> None:
    """Set all numbers of one tensor in a file of weights."""
    weights = load_file(path)
    save_file({**weights, name: torch.full_like(weights[name], value)}, path, metadata={"format": "pt"})


def paint_of(folder: Path) -> list[Image.Image | Unpainted]:
    """Paint one picture in two steps."""
    return find(f"diffusers:{folder}").load("cpu", "float32").paint(ASKED[:1], steps=2, guidance=1.0)


def test_equal_batches_give_equal_pictures(loaded: LoadedPainter) -> None:
    first, again = (pixels(loaded.paint(ASKED, steps=2, guidance=2.0)) for _ in range(2))
    assert first.shape == (3, 64, 64, 3)
    np.testing.assert_array_equal(first, again)


def test_a_picture_depends_on_neither_batch_nor_order(loaded: LoadedPainter) -> None:
    together = pixels(loaded.paint(ASKED, steps=2, guidance=2.0))
    alone = np.concatenate([pixels(loaded.paint([each], steps=2, guidance=2.0)) for each in ASKED])
    turned = pixels(loaded.paint(ASKED[::-1], steps=2, guidance=2.0))[::-1]
    assert np.abs(together - alone).max() <= 1
    assert np.abs(together - turned).max() <= 1


def test_another_seed_and_another_prompt_give_another_picture(loaded: LoadedPainter) -> None:
    painted = loaded.paint([("red stars", 5), ("red stars", 6), ("in snow", 5)], steps=2, guidance=2.0)
    first, other_seed, other_prompt = pixels(painted)
    assert np.abs(first - other_seed).max() > 10
    assert np.abs(first - other_prompt).max() > 0


def test_steps_and_guidance_are_passed_on(loaded: LoadedPainter) -> None:
    plain = pixels(loaded.paint(ASKED[:1], steps=3, guidance=4.0))
    for changed in ({"guidance": 1.0}, {"steps": 2}):
        settings: dict[str, Any] = {"steps": 3, "guidance": 4.0, **changed}
        assert not np.array_equal(pixels(loaded.paint(ASKED[:1], **settings)), plain)


def test_facts_tell_of_contents_and_not_of_places(folder: Path, copied: Path) -> None:
    facts = find(f"diffusers:{folder}").facts()
    assert sorted(facts["parts"]) == ["scheduler", "text_encoder", "tokenizer", "unet", "vae"]
    assert str(folder) not in json.dumps(facts)
    rewrite(copied / "unet" / "config.json", _diffusers_version="9.9", _name_or_path="/somewhere")
    rewrite(copied / "model_index.json", _diffusers_version="9.9")
    assert find(f"diffusers:{copied}").facts() == facts


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "scheduler", "tokenizer"])
def test_facts_follow_every_part(folder: Path, copied: Path, part: str) -> None:
    before = find(f"diffusers:{folder}").facts()
    if part == "scheduler":
        rewrite(copied / part / "scheduler_config.json", beta_end=0.5)
    elif part == "tokenizer":
        (copied / part / "tokenizer.json").write_text((copied / part / "tokenizer.json").read_text() + "\n")
    else:
        file = next((copied / part).glob("*.safetensors"))
        change_weights(file, next(iter(load_file(file))), 0.5)
    after = find(f"diffusers:{copied}").facts()
    assert {name for name in after["parts"] if after["parts"][name] != before["parts"][name]} == {part}


def test_a_vocabulary_beside_weights_hides_neither(folder: Path, copied: Path) -> None:
    encoder = copied / "text_encoder"
    (encoder / "vocab.json").write_text("{}")
    before = find(f"diffusers:{copied}").facts()
    weights = encoder / "model.safetensors"
    change_weights(weights, next(iter(load_file(weights))), 0.5)
    after = find(f"diffusers:{copied}").facts()
    assert before["parts"]["text_encoder"]["weights"] != after["parts"]["text_encoder"]["weights"]
    assert before["parts"]["text_encoder"] != find(f"diffusers:{folder}").facts()["parts"]["text_encoder"]


@pytest.mark.parametrize("name", ["vocab.txt", "tokenizer.model", "sentencepiece.bpe.model", "chat.jinja"])
def test_facts_follow_every_file_of_a_tokenizer(copied: Path, name: str) -> None:
    file = copied / "tokenizer" / name
    facts = []
    for content in ("red", "blue"):
        file.write_text(content)
        facts.append(find(f"diffusers:{copied}").facts()["parts"])
    assert {part for part in facts[0] if facts[0][part] != facts[1][part]} == {"tokenizer"}


def test_weights_in_a_second_format_change_nothing(folder: Path, copied: Path) -> None:
    unet = copied / "unet"
    torch.save(load_file(unet / "diffusion_pytorch_model.safetensors"), unet / "diffusion_pytorch_model.bin")
    assert find(f"diffusers:{copied}").facts() == find(f"diffusers:{folder}").facts()


def test_weights_in_several_files_are_the_same_weights(folder: Path, copied: Path) -> None:
    unet = copied / "unet"
    whole = unet / "diffusion_pytorch_model.safetensors"
    weights = load_file(whole)
    names = sorted(weights)
    places = {name: f"part-{number % 2}.safetensors" for number, name in enumerate(names)}
    for file in set(places.values()):
        save_file({name: weights[name] for name in names if places[name] == file}, unet / file)
    whole.unlink()
    index = unet / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    assert find(f"diffusers:{copied}").facts() == find(f"diffusers:{folder}").facts()


def test_a_picture_of_one_colour_is_told_apart(copied: Path) -> None:
    change_weights(copied / "vae" / "diffusion_pytorch_model.safetensors", "decoder.conv_out.weight", 0.0)
    assert paint_of(copied) == [Unpainted("it is of one colour")]


def test_a_picture_of_what_is_no_number_is_told_apart(copied: Path) -> None:
    change_weights(
        copied / "vae" / "diffusion_pytorch_model.safetensors", "decoder.conv_out.bias", float("nan")
    )
    reason = "it has pixels that are no numbers; a precision with more range may help"
    assert paint_of(copied) == [Unpainted(reason)]


def brightness(generator: torch.Generator) -> float:
    """Take the first number of a generator, as one between a half and 1."""
    return 0.5 + float(torch.rand(1, generator=generator)) / 2


@dataclass
class Narrow:
    """A pipeline that has room for three pictures and withholds those of "blood"."""

    scheduler: Any = None
    batches: list[int] = field(default_factory=list)

    def __call__(
        self,
        prompt: list[str],
        generator: list[torch.Generator],
        num_inference_steps: int,
        guidance_scale: float,
        output_type: str,
    ) -> Any:
        """Give squares that are as bright as the first number of their generators."""
        assert (num_inference_steps, guidance_scale, output_type) == (4, 2.0, "np")
        self.batches.append(len(prompt))
        if len(prompt) > 3:
            raise torch.OutOfMemoryError("no room")
        ramp = np.linspace(0, 1, 4)[:, None, None] * np.ones((4, 4, 3))
        images = np.stack([ramp * brightness(each) for each in generator])
        return Answer(images, [text == "blood" for text in prompt])


@dataclass
class Answer:
    """What a pipeline with a safety checker gives back."""

    images: NDArray[np.float64]
    nsfw_content_detected: list[bool]


def test_batches_are_halved_until_they_fit_and_stay_so() -> None:
    narrow = Narrow()
    painter = LoadedPainter(narrow, fits=8)
    asked = [(f"text {number}", number) for number in range(5)]
    painted = pixels(painter.paint(asked, steps=4, guidance=2.0))
    expected = [round(255 * brightness(torch.Generator().manual_seed(seed))) for _, seed in asked]
    assert painted[:, 3, 0, 0].tolist() == expected
    assert narrow.batches == [5, 2, 2, 1]


def test_what_a_safety_checker_withholds_is_told_apart() -> None:
    painted = LoadedPainter(Narrow()).paint([("blood", 1), ("sand", 1)], steps=4, guidance=2.0)
    assert painted[0] == Unpainted("the pipeline's safety checker withheld it")
    assert isinstance(painted[1], Image.Image)


class Unguided:
    """A pipeline that is not guided by how closely a text is to be followed."""

    def __call__(self, prompt: list[str], generator: list[torch.Generator], num_inference_steps: int) -> None:
        raise AssertionError("it is not asked")


def test_what_a_pipeline_does_not_take_is_refused() -> None:
    with pytest.raises(BadSource, match="Unguided has no use for guidance_scale"):
        LoadedPainter(Unguided()).paint([("sand", 1)], steps=4, guidance=2.0)


def test_seeds_follow_from_prompt_painter_and_number() -> None:
    def seed(text: str, painter: str, number: int) -> int:
        asked = Paintings(registered.Painter("sd", "x", {"weights": painter}), "{concept}", 4, 2.0)
        return asked.seed(Asked(text, number))

    assert seed("red stars", "ab", 0) == seed("red stars", "ab", 0)
    seeds = {seed(text, key, n) for text in ("red stars", "a") for key in ("ab", "b") for n in range(50)}
    assert len(seeds) == 200
    assert all(0 <= seed < 1 << 63 for seed in seeds)
    assert max(seeds) > 1 << 62


def test_a_painter_is_found_by_folder_and_by_nothing_else(folder: Path) -> None:
    assert find(f"diffusers:{folder}") == Painter(f"diffusers:{folder}", str(folder))
    with pytest.raises(UnknownName, match=r"no source of painters 'hf:x/y'.*diffusers:REPOSITORY"):
        find("hf:x/y")
    with pytest.raises(BadSource, match=r"no folder \./nothing; a repository of the hub has a name"):
        find("diffusers:./nothing")


def test_a_folder_that_is_no_pipeline_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSource, match=r"there is no model_index.json in it; name a folder that save_pretr"):
        find(f"diffusers:{tmp_path}")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("StableDiffusionImg2ImgPipeline", "does not paint a picture from a text alone"),
        ("TextToVideoSDPipeline", "does not paint a picture from a text alone"),
        ("MyOwnPipeline", "code that comes with a pipeline is not run"),
    ],
)
def test_other_pipelines_are_refused(copied: Path, kind: str, reason: str) -> None:
    rewrite(copied / "model_index.json", _class_name=kind)
    with pytest.raises(BadSource, match=reason):
        find(f"diffusers:{copied}")


def test_damaged_and_absent_parts_are_named(copied: Path) -> None:
    weights = copied / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    painter = find(f"diffusers:{copied}")
    with pytest.raises(BadSource, match=r"diffusion_pytorch_model.safetensors cannot be read as weights"):
        painter.facts()
    with pytest.raises(BadSource, match="cannot be loaded"):
        painter.load("cpu", "float32")
    weights.unlink()
    with pytest.raises(BadSource, match="vae holds no weights"):
        painter.facts()
    shutil.rmtree(copied / "vae")
    with pytest.raises(BadSource, match=r"lacks the part 'vae' that its model_index.json names"):
        painter.facts()


def test_an_unknown_precision_or_device_is_refused(folder: Path) -> None:
    painter = find(f"diffusers:{folder}")
    with pytest.raises(BadSource, match="precision 'int8' is none of float32, float16, bfloat16"):
        painter.load("cpu", "int8")
    with pytest.raises(BadSource, match="no device 'warp:3' to compute on"):
        painter.load("warp:3", "float32")
