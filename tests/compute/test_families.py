"""Models of timm and torchvision, from checkpoints made here, give the libraries' own numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

import belvedere
from belvedere.compute.models import sources
from belvedere.store.errors import BadSource, NameTaken, UnknownName
from tests.worlds import add_pictures

PICTURES = 5


@pytest.fixture
def store(tmp_path: Path) -> belvedere.Store:
    """A store of a few pictures."""
    store = belvedere.open(tmp_path / "store")
    store.add_images("photos", add_pictures(tmp_path / "photos", range(PICTURES)))
    return store


def random(net: nn.Module, seed: int = 0) -> nn.Module:
    """Give every parameter and statistic of a network a random value."""
    dice = torch.Generator().manual_seed(seed)
    for name, value in net.state_dict().items():
        if value.is_floating_point():
            drawn = torch.randn(value.shape, generator=dice) / max(1, value[:1].numel()) ** 0.5
            value.copy_(1 + 0.1 * drawn if "var" in name or value.ndim == 1 else drawn)
    return net.eval()


def given(net: nn.Module, transform: Any, module: str, folder: Path) -> Tensor:
    """What a module gives when the library's own preprocessing and forward pass are used."""
    pixels = [transform(Image.open(path).convert("RGB")) for path in sorted(folder.iterdir())]
    found: list[Tensor] = []
    hook = net.get_submodule(module).register_forward_hook(lambda m, a, output: found.append(output.clone()))
    with torch.inference_mode():
        net(torch.stack(pixels))
    hook.remove()
    return found[0]


def test_a_resnet_of_torchvision(store: belvedere.Store, tmp_path: Path) -> None:
    net = random(torchvision.models.resnet18(weights=None))
    torch.save({"state_dict": {f"module.{k}": v for k, v in net.state_dict().items()}}, tmp_path / "net.pt")
    model = store.add_model("resnet", "torchvision:resnet18", checkpoint=tmp_path / "net.pt")
    assert model.tower is None
    assert model.image["preprocessing"] == {
        "crop_size": [224],
        "resize_size": [256],
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "interpolation": "bilinear",
        "antialias": True,
    }
    transform = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.transforms()
    maps = given(net, transform, "layer4", tmp_path / "photos").numpy()
    for pool, literal in (("mean", maps.mean((2, 3))), ("max", maps.max((2, 3)))):
        view = store.view("neuron_activations", module="layer4", pool=pool)
        np.testing.assert_allclose(view[...], literal, rtol=1e-4, atol=1e-5)
    named = store.add_model("named", "torchvision:resnet18/IMAGENET1K_V1", checkpoint=tmp_path / "net.pt")
    assert named.image == model.image


def test_a_vision_transformer_of_timm(store: belvedere.Store, tmp_path: Path) -> None:
    net = random(timm.create_model("vit_tiny_patch16_224", pretrained=False))
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    model = store.add_model("vit", "timm:vit_tiny_patch16_224", checkpoint=tmp_path / "net.safetensors")
    assert model.image["preprocessing"]["crop_pct"] == 0.9
    assert model.module("blocks.3.mlp.act").shape == (197, 768)
    config = cast("Any", timm).data.resolve_model_data_config(net)
    transform = cast("Any", timm).data.create_transform(**config, is_training=False)
    tokens = given(net, transform, "blocks.3.mlp.act", tmp_path / "photos").numpy()
    view = store.view("neuron_activations", module="blocks.3.mlp.act", pool="cls")
    np.testing.assert_allclose(view[...], tokens[:, 0], rtol=1e-4, atol=1e-5)


def test_two_checkpoints_of_one_architecture_never_meet(store: belvedere.Store, tmp_path: Path) -> None:
    for seed in (0, 1):
        net = random(torchvision.models.squeezenet1_1(weights=None), seed)
        torch.save(net.state_dict(), tmp_path / f"{seed}.pt")
    store.add_model("a", "torchvision:squeezenet1_1", checkpoint=tmp_path / "0.pt")
    with pytest.raises(NameTaken):
        store.add_model("a", "torchvision:squeezenet1_1", checkpoint=tmp_path / "1.pt")
    store.add_model("b", "torchvision:squeezenet1_1", checkpoint=tmp_path / "1.pt")
    first, second = (store.view("neuron_activations", model=name, module="features.12") for name in "ab")
    assert not np.allclose(first[...], second[...])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("torchvision:resnet19", r"no torchvision model for pictures 'resnet19'; did you mean 'resnet18'\?"),
        (
            "torchvision:resnet18",
            r"says no weights: name some \(torchvision:resnet18/IMAGENET1K_V1\) or",
        ),
        ("torchvision:resnet18/V1", r"no weights of torchvision's resnet18 'V1'; there are .*IMAGENET1K_V1"),
        (
            "timm:vit_tiny_patch16_225",
            r"no timm model 'vit_tiny_patch16_225'; did you mean 'vit_tiny_patch16_224'",
        ),
        (
            "timm:resnet18.fb_swsl",
            r"no pretrained tag of timm's resnet18 'fb_swsl'; did you mean 'fb_swsl",
        ),
    ],
)
def test_models_that_do_not_exist_are_refused_with_the_nearest(source: str, message: str) -> None:
    with pytest.raises((BadSource, UnknownName), match=message):
        sources.find(source)


def test_checkpoints_that_do_not_fit_are_refused(store: belvedere.Store, tmp_path: Path) -> None:
    net = torchvision.models.squeezenet1_1(weights=None)
    torch.save(net.state_dict(), tmp_path / "squeeze.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    (tmp_path / "text.pt").write_text("weights")
    (tmp_path / "text.safetensors").write_text("weights")
    fewer = torchvision.models.squeezenet1_1(weights=None, num_classes=7)
    torch.save(fewer.state_dict(), tmp_path / "fewer.pt")
    for source, name, message in (
        (
            "torchvision:resnet18",
            "squeeze.pt",
            r"does not fit ResNet: of its weights 122 are missing",
        ),
        ("timm:resnet18", "squeeze.pt", r"does not fit ResNet: of its weights 122 are missing"),
        ("torchvision:squeezenet1_1", "fewer.pt", r"2 have another shape \(such as classifier.1.weight\)"),
        ("torchvision:resnet18", "list.pt", "holds a list that is not weights by name"),
        ("torchvision:resnet18", "text.pt", "is no checkpoint of weights that torch or safetensors wrote"),
        ("timm:resnet18", "text.safetensors", "is no checkpoint of weights that torch or safetensors wrote"),
        ("timm:resnet18", "gone.pt", r"no checkpoint file .*gone\.pt"),
    ):
        with pytest.raises(BadSource, match=message):
            store.add_model("net", source, checkpoint=tmp_path / name)
    assert store.sql("FROM models").fetchall() == []
