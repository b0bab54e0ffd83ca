"""Vision models of transformers, and timm's folders, give the libraries' own numbers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

import belvedere
from belvedere.compute.models import sources
from belvedere.store.errors import BadSource, UnknownName
from tests.worlds import add_pictures

_SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
_PICTURES: dict[str, Any] = {"image_size": 32, "patch_size": 8}
_CLASSES: dict[str, Any] = {"num_labels": 5}


@pytest.fixture
def store(tmp_path: Path) -> belvedere.Store:
    """A store of a few pictures."""
    store = belvedere.open(tmp_path / "store")
    store.add_images("photos", add_pictures(tmp_path / "photos", range(5)))
    return store


def make_vit(folder: Path) -> Path:
    """Save a random vision transformer with a head of five classes."""
    torch.manual_seed(0)
    config = transformers.ViTConfig(**_SIZES, **_PICTURES, **_CLASSES)
    transformers.ViTForImageClassification(config).save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def make_resnet(folder: Path) -> Path:
    """Save a random ResNet without a head."""
    torch.manual_seed(0)
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], layer_type="basic"
    )
    transformers.ResNetModel(config).save_pretrained(folder)
    processor = transformers.ConvNextImageProcessor(size={"shortest_edge": 32}, crop_pct=0.875)
    processor.save_pretrained(folder)
    return folder


def make_clip(folder: Path) -> Path:
    """Save a random CLIP of two towers."""
    torch.manual_seed(0)
    config = transformers.CLIPConfig(
        text_config={**_SIZES, "vocab_size": 50}, vision_config=_SIZES | _PICTURES, projection_dim=8
    )
    transformers.CLIPModel(config).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=size).save_pretrained(folder)
    return folder


def opened(kind: Any, folder: Path) -> Any:
    """Let transformers load a model by itself."""
    return kind.from_pretrained(folder).eval()


def literally(run: Callable[[Any], Any], processor: Any, module: torch.nn.Module, folder: Path) -> Any:
    """What a module gives when the library's own preprocessing and forward pass are used."""
    pictures = [Image.open(path).convert("RGB") for path in sorted(folder.iterdir())]
    found: list[Any] = []
    hook = module.register_forward_hook(lambda m, a, output: found.append(output))
    with torch.inference_mode():
        run(processor(images=pictures, return_tensors="pt")["pixel_values"])
    hook.remove()
    return found[0].numpy()


def test_a_vision_transformer_with_its_head(store: belvedere.Store, tmp_path: Path) -> None:
    folder = make_vit(tmp_path / "vit")
    model = store.add_model("vit", f"hf:{folder}")
    net = opened(transformers.ViTForImageClassification, folder)
    processor: Any = transformers.ViTImageProcessor.from_pretrained(folder)
    assert (model.shape.joint, dict(model.text)) == (5, {})
    assert model.module("classifier").shape == (5,)
    fc1, layer, classes = (
        literally(net, processor, net.get_submodule(name), tmp_path / "photos")
        for name in ("vit.layers.1.mlp.fc1", "vit.layers.0", "classifier")
    )
    for wanted, how in (
        (fc1[:, 0], {"module": "vit.layers.1.mlp.fc1", "pool": "cls"}),
        (layer.mean(1), {"module": "vit.layers.0", "pool": "mean"}),
        (classes, {"module": "classifier"}),
    ):
        found = store.view("neuron_activations", **how)[...]
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_pooler_whose_weights_were_not_published_is_left_out(
    store: belvedere.Store, tmp_path: Path
) -> None:
    folder = make_vit(tmp_path / "dino")
    config = transformers.ViTConfig(**_SIZES, **_PICTURES)
    transformers.ViTModel(config, add_pooling_layer=False).save_pretrained(folder)
    model = store.add_model("dino", f"hf:{folder}")
    assert not any(name.startswith("pooler") for name in model.modules)
    net = opened(transformers.ViTModel, folder)
    processor: Any = transformers.ViTImageProcessor.from_pretrained(folder)
    last = literally(net, processor, net.layernorm, tmp_path / "photos")[:, 0]
    last /= np.linalg.norm(last, axis=1, keepdims=True)
    np.testing.assert_allclose(store.view("image_embeddings")[...], last, atol=1e-5)


def test_a_resnet_without_a_head(store: belvedere.Store, tmp_path: Path) -> None:
    folder = make_resnet(tmp_path / "resnet")
    model = store.add_model("resnet", f"hf:{folder}")
    assert model.module("encoder.stages.1").shape == (16, 4, 4)
    net = opened(transformers.ResNetModel, folder)
    processor: Any = transformers.ConvNextImageProcessor.from_pretrained(folder)
    maps = literally(net, processor, net.encoder.stages[1], tmp_path / "photos")
    view = store.view("neuron_activations", module="encoder.stages.1", pool="max")
    np.testing.assert_allclose(view[...], maps.max((2, 3)), rtol=1e-4, atol=1e-5)


def test_of_a_clip_the_vision_tower_runs(store: belvedere.Store, tmp_path: Path) -> None:
    folder = make_clip(tmp_path / "clip")
    model = store.add_model("clip", f"hf:{folder}")
    assert not any(name.startswith("text_model") for name in model.modules)
    net = opened(transformers.CLIPModel, folder)
    processor: Any = transformers.CLIPImageProcessor.from_pretrained(folder)
    name = "vision_model.encoder.layers.1.mlp.fc1"
    tokens = literally(net.vision_model, processor, net.get_submodule(name), tmp_path / "photos")
    view = store.view("neuron_activations", module=name, pool="cls")
    np.testing.assert_allclose(view[...], tokens[:, 0], rtol=1e-4, atol=1e-5)


def test_a_model_is_its_contents_and_not_its_folder(store: belvedere.Store, tmp_path: Path) -> None:
    one = store.add_model("one", f"hf:{make_vit(tmp_path / 'vit')}")
    copy = shutil.copytree(tmp_path / "vit", tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    config |= {"_name_or_path": str(copy), "transformers_version": "4.0.0", "id2label": {"0": "cat"}}
    (copy / "config.json").write_text(json.dumps({**config, "num_labels": 5}))
    assert str(tmp_path) not in json.dumps(dict(one.image))
    del config["id2label"], config["label2id"]
    (copy / "config.json").write_text(
        json.dumps({**config, "id2label": {str(k): f"class {k}" for k in range(5)}})
    )
    assert store.add_model("two", f"hf:{copy}").image == one.image
    weights = load_file(copy / "model.safetensors")
    weights["classifier.bias"] += 1
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    assert store.add_model("three", f"hf:{copy}").image != one.image


def test_weights_that_are_missing_are_never_random(store: belvedere.Store, tmp_path: Path) -> None:
    folder = make_vit(tmp_path / "vit")
    weights = load_file(folder / "model.safetensors")
    del weights["classifier.bias"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        BadSource, match=r"has no weights for 1 parameters of .* \(such as classifier\.bias\)"
    ):
        store.add_model("vit", f"hf:{folder}")
    (folder / "model.safetensors").unlink()
    with pytest.raises(BadSource, match=r"hf:.* cannot be loaded: "):
        store.add_model("vit", f"hf:{folder}")


def test_folders_that_hold_no_vision_model_are_refused(tmp_path: Path) -> None:
    text, bare, vit = tmp_path / "text", tmp_path / "bare", make_vit(tmp_path / "vit")
    transformers.BertConfig().save_pretrained(text)
    bare.mkdir()
    (bare / "config.json").write_text("{}")
    for source, checkpoint, message in (
        (f"hf:{text}", None, r"\(bert\) takes no pictures: no preprocessor_config\.json is with it"),
        (f"hf:{bare}", None, r"says no model_type: it is not of a transformers model"),
        (
            f"hf:{tmp_path / 'gone'}",
            None,
            r"no folder .*gone; a repository of the hub has a name of the form",
        ),
        ("hf:vit", None, r"no folder vit; a repository of the hub has a name of the form OWNER/MODEL"),
        (f"hf:{vit}", "x.pt", r"has its own weights, so checkpoint='x\.pt' has no place"),
    ):
        with pytest.raises(BadSource, match=message):
            sources.find(source, checkpoint)


def test_a_repository_that_cannot_be_reached_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        BadSource, match=r"no folder belvedere/none, and the hub gives no repository of that name"
    ):
        sources.find("hf:belvedere/none")


def test_a_folder_of_timm(store: belvedere.Store, tmp_path: Path) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    arguments = {"channels": [4, 4, 8, 8], "num_classes": 3}
    net = timm.create_model("resnet10t", pretrained=False, **arguments).eval()  # type: ignore[arg-type]
    save_file(net.state_dict(), folder / "model.safetensors")
    pictures = {"input_size": [3, 32, 32], "crop_pct": 1.0, "mean": [0.5] * 3, "std": [0.5] * 3}
    config = {"architecture": "resnet10t", "model_args": arguments, "pretrained_cfg": pictures}
    (folder / "config.json").write_text(json.dumps(config))
    model = store.add_model("net", f"timm:local-dir:{folder}")
    assert model.image["architecture"] == {"timm": "resnet10t", "model_args": arguments}
    assert model.image["preprocessing"]["mean"] == [0.5] * 3
    assert model.module("layer4").shape == (8, 1, 1)
    torch.save(net.state_dict(), tmp_path / "other.pt")
    again = store.add_model("again", f"timm:local-dir:{folder}", checkpoint=tmp_path / "other.pt")
    assert again.image == model.image


def test_folders_that_are_none_of_timm_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSource, match=r"is no timm model folder: there is no config\.json in it"):
        sources.find(f"timm:local-dir:{tmp_path}")
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(BadSource, match="is not a configuration that timm reads"):
        sources.find(f"timm:local-dir:{tmp_path}")
    (tmp_path / "config.json").write_text('{"architecture": "resnet10"}')
    with pytest.raises(UnknownName, match="no timm model 'resnet10'; did you mean 'resnet1"):
        sources.find(f"timm:local-dir:{tmp_path}")


def test_the_demo_classifier_is_a_source(store: belvedere.Store) -> None:
    model = store.add_model("classifier", "demo:classifier")
    assert model.module("layer4").shape == (128, 8, 8)
    assert model.module("fc").shape == (30,)
    assert model.tower is None
