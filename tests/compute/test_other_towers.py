"""Towers of other families fill stores as open_clip's own do, and agree with twins of other libraries."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import torch
import transformers
from huggingface_hub import constants as hub_constants
from open_clip.model import CLIP, CustomTextCLIP
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import transforms

import belvedere
from belvedere.compute.models import sources
from belvedere.demo.tokenizer import build_tokenizer, save_tokenizer
from belvedere.store.errors import BadSource, UnsupportedTower
from tests.compute.small_towers import randomised, thin_trunks
from tests.worlds import CONFIG, SIDE, add_pictures

TEXT: dict[str, Any] = {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
TO_TENSOR = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.25] * 3)])


@pytest.fixture
def thin() -> Iterator[None]:
    """Let timm's trunks have few and thin blocks."""
    with thin_trunks():
        yield


@pytest.fixture
def store(tmp_path: Path) -> belvedere.Store:
    """A store of a few pictures, as large as the towers here take them."""
    store = belvedere.open(tmp_path / "store")
    store.add_images("photos", add_pictures(tmp_path / "photos", range(5)))
    return store


def folder_of(path: Path, vision: dict[str, Any], joint: int) -> str:
    """Write an open_clip model folder with random weights; gives its source."""
    custom = {"custom_text": True} if "timm_model_name" in vision or "attentional_pool" in vision else {}
    config = {"embed_dim": joint, "vision_cfg": vision, "text_cfg": TEXT}
    torch.manual_seed(0)
    net = randomised((CustomTextCLIP if custom else CLIP)(**config))
    path.mkdir()
    size = {"size": [vision["image_size"]] * 2}
    told = {"model_cfg": {**config, **custom}, "preprocess_cfg": {**CONFIG["preprocess_cfg"], **size}}
    (path / "open_clip_config.json").write_text(json.dumps(told))
    save_file(net.state_dict(), path / "open_clip_model.safetensors")
    return f"open_clip:local-dir:{path}"


PATCHES = {"image_size": SIDE, "patch_size": 8, "layers": 2, "width": 128}
TIMM = {"timm_model_pretrained": False, "timm_pool": "", "timm_proj": "linear"}
TOWERS: dict[str, tuple[dict[str, Any], int]] = {
    "resnet": ({"image_size": 64, "layers": [1, 1, 1, 1], "width": 16}, 24),
    "mean": ({**PATCHES, "pool_type": "avg", "final_ln_after_pool": True}, 24),
    "attention": ({**PATCHES, "attentional_pool": True, "attn_pooler_heads": 2}, 24),
    "map": ({**TIMM, "image_size": 64, "timm_model_name": "convnext_tiny"}, 24),
    "hybrid": ({**TIMM, "image_size": 224, "timm_model_name": "vitamin_small_224"}, 24),
    "siglip": (
        {
            **TIMM,
            "image_size": 256,
            "timm_model_name": "vit_base_patch32_siglip_256",
            "timm_pool": "map",
            "timm_proj": "none",
        },
        128,
    ),
    "post-norm": (
        {
            **TIMM,
            "image_size": 224,
            "timm_model_name": "eva02_enormous_patch14_clip_224",
            "timm_pool": "token",
            "timm_proj": None,
        },
        24,
    ),
}


@pytest.mark.usefixtures("thin")
@pytest.mark.parametrize("kind", TOWERS)
def test_what_is_kept_of_a_tower_sums_to_its_embeddings(
    store: belvedere.Store, tmp_path: Path, kind: str
) -> None:
    vision, joint = TOWERS[kind]
    model = store.add_model("m", folder_of(tmp_path / "net", vision, joint))
    embedding = store.view("image_embeddings")[...]
    heads = store.view("head_contributions")[...]
    rest = store.view("residual_contributions")
    total = heads.sum((1, 2)) + rest[...].sum(1)
    if model.shape.grade == "heads":
        total = total + store.view("mlp_contributions")[...].sum(1)
    else:
        with pytest.raises(UnsupportedTower, match="no MLP is among its terms"):
            store.view("mlp_contributions")
    np.testing.assert_allclose(total, embedding, atol=2e-6)
    tokens = store.view("token_contributions")[...]
    np.testing.assert_allclose(tokens.sum(3), heads, atol=1e-6)
    patches = store.view("patch_contributions")[...]
    expected = tokens[:, :, :, model.shape.prefix :].sum((1, 2))
    np.testing.assert_allclose(patches.reshape(expected.shape), expected, atol=2e-6)
    one = store.view("head_contributions")[3:4, 0:1, 1:2]
    np.testing.assert_array_equal(one, heads[3:4, 0:1, 1:2])
    told = store.sql("SELECT term FROM residual_contributions WHERE image_id = 2").df()
    assert sorted(told["term"]) == sorted(rest.coords["term"])


def test_moments_of_contributions_that_are_kept_themselves_are_those_of_dense_ones(
    store: belvedere.Store, tmp_path: Path
) -> None:
    store.add_model("m", folder_of(tmp_path / "net", *TOWERS["attention"]))
    store.add_texts("words", ["a dog", "a red boat", "three stars", "nothing at all"])
    heads = store.view("head_contributions")[...].astype(np.float64)
    told = store.view("head_descriptions", texts="words", m=2).df()
    texts = store.view("text_embeddings", texts="words")[...].astype(np.float64)
    for layer, head in {(0, 0), (1, 1)}:
        centred = heads[:, layer, head] - heads[:, layer, head].mean(0)
        best = np.abs(centred @ texts.T).astype(np.float64)
        first = int((best**2).sum(0).argmax())
        row = told[(told.layer == layer) & (told["head"] == head) & (told["rank"] == 0)]
        assert row.text_id.item() == first


@pytest.mark.usefixtures("thin")
@pytest.mark.parametrize("kind", ["resnet", "attention", "post-norm"])
def test_a_convention_that_a_tower_has_not_is_refused(
    store: belvedere.Store, tmp_path: Path, kind: str
) -> None:
    store.add_model("m", folder_of(tmp_path / "net", *TOWERS[kind]))
    with pytest.raises(UnsupportedTower, match="ask for convention 'own'"):
        store.view("head_contributions", convention="clip_prs")


def test_the_mean_of_tokens_is_read_under_both_conventions(store: belvedere.Store, tmp_path: Path) -> None:
    store.add_model("m", folder_of(tmp_path / "net", *TOWERS["mean"]))
    names = ("head_contributions", "mlp_contributions", "residual_contributions")
    found = [store.view(name, convention="clip_prs")[...] for name in names]
    total = found[0].sum((1, 2)) + found[1].sum(1) + found[2].sum(1)
    np.testing.assert_allclose(total, store.view("image_embeddings")[...], atol=2e-6)


@pytest.mark.usefixtures("thin")
def test_what_is_known_of_class_tokens_alone_is_refused(store: belvedere.Store, tmp_path: Path) -> None:
    store.add_model("m", folder_of(tmp_path / "net", *TOWERS["siglip"]))
    refused = "has no contributions of a class token: no class token is among its tokens"
    with pytest.raises(UnsupportedTower, match=refused):
        store.view("class_token_contributions")
    with pytest.raises(
        UnsupportedTower, match="has no second-order effects of neurons: they are known for open_clip's own"
    ):
        store.view("second_order_effects", layer=0)


def clip_of_transformers(net: CLIP, text: Mapping[str, Any]) -> Any:
    """Put the weights of one of open_clip's CLIPs into transformers' own."""
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 64}
    words = {**sizes, "num_hidden_layers": 1, "vocab_size": 49408, "max_position_embeddings": 24}
    seen = {**sizes, "image_size": SIDE, "patch_size": 8}
    acts = {"hidden_act": "gelu", "layer_norm_eps": 1e-5}
    ends = {"eos_token_id": 2}  # the largest number ends a text, as in open_clip
    config = transformers.CLIPConfig(
        text_config={**words, **acts, **ends}, vision_config={**seen, **acts}, projection_dim=12
    )
    state = net.state_dict()
    found: dict[str, Tensor] = {
        "logit_scale": state["logit_scale"],
        "vision_model.embeddings.class_embedding": state["visual.class_embedding"],
        "vision_model.embeddings.patch_embedding.weight": state["visual.conv1.weight"],
        "vision_model.embeddings.position_embedding.weight": state["visual.positional_embedding"],
        "visual_projection.weight": state["visual.proj"].T,
        "text_model.embeddings.token_embedding.weight": state["token_embedding.weight"],
        "text_model.embeddings.position_embedding.weight": state["positional_embedding"],
        "text_projection.weight": state["text_projection"].T,
    }
    norms = {
        "vision_model.pre_layrnorm": "visual.ln_pre",
        "vision_model.post_layernorm": "visual.ln_post",
        "text_model.final_layer_norm": "ln_final",
    }
    for theirs, ours in [("vision_model.", "visual."), ("text_model.", "")]:
        for layer in range(2 if ours else 1):
            to, of = f"{theirs}encoder.layers.{layer}", f"{ours}transformer.resblocks.{layer}"
            for kind in ("weight", "bias"):
                parts = state[f"{of}.attn.in_proj_{kind}"].chunk(3)
                for each, part in zip("qkv", parts, strict=True):
                    found[f"{to}.self_attn.{each}_proj.{kind}"] = part
            norms |= {f"{to}.layer_norm1": f"{of}.ln_1", f"{to}.layer_norm2": f"{of}.ln_2"}
            norms |= {f"{to}.self_attn.out_proj": f"{of}.attn.out_proj"}
            norms |= {f"{to}.mlp.fc1": f"{of}.mlp.c_fc", f"{to}.mlp.fc2": f"{of}.mlp.c_proj"}
    found |= {
        f"{to}.{kind}": state[f"{of}.{kind}"] for to, of in norms.items() for kind in ("weight", "bias")
    }
    twin: Any = transformers.CLIPModel(config)
    twin.eval()
    missing = twin.load_state_dict(found, strict=False)
    assert not missing.unexpected_keys
    assert all("position_ids" in key for key in missing.missing_keys)
    return twin


def test_a_clip_of_transformers_agrees_with_its_twin_of_open_clip(
    store: belvedere.Store, tmp_path: Path
) -> None:
    vision = {"image_size": SIDE, "patch_size": 8, "layers": 2, "width": 16, "head_width": 8}
    source = folder_of(tmp_path / "ours", vision, 12)
    store.add_model("ours", source)
    net: Any = sources.find(source).build("float32")
    twin = clip_of_transformers(net, TEXT)
    theirs = tmp_path / "theirs"
    twin.save_pretrained(theirs)
    processor = transformers.CLIPImageProcessor(
        size={"shortest_edge": SIDE},
        crop_size={"height": SIDE, "width": SIDE},
        image_mean=[0.5] * 3,
        image_std=[0.25] * 3,
    )
    processor.save_pretrained(theirs)
    save_tokenizer(build_tokenizer(), theirs)
    model = store.add_model("theirs", f"hf:{theirs}")
    assert model.text["tokenizer"]["context_length"] == 24
    for name in ("image_embeddings", "head_contributions", "mlp_contributions", "token_contributions"):
        one, other = (store.view(name, model=each)[...] for each in ("ours", "theirs"))
        np.testing.assert_allclose(one, other, atol=1e-5, err_msg=name)
    tokens = torch.randint(3, 400, (4, 24))
    tokens[:, 10] = 49407
    loaded: Any = sources.find(f"hf:{theirs}").build("float32")
    with torch.inference_mode():
        np.testing.assert_allclose(
            net.encode_text(tokens).numpy(), loaded.encode_text(tokens).numpy(), atol=1e-5
        )
    store.add_texts("words", ["a red circle", "two blue squares"])
    embedded = store.view("text_embeddings", model="theirs", texts="words")[...]
    np.testing.assert_allclose(np.linalg.norm(embedded, axis=1), 1, atol=1e-6)


def test_the_vision_side_of_a_clip_of_transformers_keeps_its_projection(
    store: belvedere.Store, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    config = transformers.CLIPVisionConfig(**SIZES, **PIXELS, projection_dim=12)
    net: Any = transformers.CLIPVisionModelWithProjection(config)
    net.eval()
    net.save_pretrained(tmp_path / "vision")
    size = {"height": SIDE, "width": SIDE}
    processor = transformers.CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=size)
    processor.save_pretrained(tmp_path / "vision")
    model = store.add_model("vision", f"hf:{tmp_path / 'vision'}")
    assert model.shape.joint == 12
    pixels = processor(images=store.image("photos", 0), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        expected = net(pixel_values=pixels).image_embeds[0]
    found = store.view("image_embeddings")[0]
    np.testing.assert_allclose(found, expected / expected.norm(), atol=1e-6)
    parts = ("head_contributions", "mlp_contributions", "residual_contributions")
    total = sum(store.view(name)[0].reshape(-1, 12).sum(0) for name in parts)
    np.testing.assert_allclose(total, found, atol=1e-6)


def test_why_a_tower_is_not_taken_apart_is_kept_with_the_model(store: belvedere.Store) -> None:
    odd = timm.create_model("vit_tiny_patch16_224", img_size=SIDE, patch_size=8, depth=1, num_classes=5)
    odd.norm = nn.RMSNorm(192)
    store.add_model("odd", odd.eval(), transform=TO_TENSOR, transform_id="half")
    for each in (store, belvedere.open(store.path)):
        with pytest.raises(UnsupportedTower, match="its last norms are RMSNorm, not one LayerNorm"):
            each.view("head_contributions")


def test_a_siglip_of_transformers_agrees_with_its_twin_of_timm(
    store: belvedere.Store, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    options: dict[str, Any] = {"img_size": SIDE, "patch_size": 8, "depth": 2, "embed_dim": 16, "num_heads": 2}
    ours = randomised(timm.create_model("vit_base_patch16_siglip_224", **options, num_classes=0).eval())
    sizes: dict[str, Any] = {**SIZES, "intermediate_size": 64}
    config = transformers.SiglipVisionConfig(
        **sizes, image_size=SIDE, patch_size=8, hidden_act="gelu", layer_norm_eps=1e-6
    )
    twin: Any = transformers.SiglipVisionModel(config)
    twin.eval()
    twin.load_state_dict(_siglip(ours.state_dict()))
    for name, net in {"ours": ours, "theirs": twin}.items():
        model = store.add_model(name, net, transform=TO_TENSOR, transform_id="half")
        assert (model.shape.dense, model.shape.tokens) == (True, 4)
    for view in ("image_embeddings", "head_contributions", "mlp_contributions", "residual_contributions"):
        one, other = (store.view(view, model=each)[...] for each in ("ours", "theirs"))
        np.testing.assert_allclose(one, other, atol=1e-5, err_msg=view)


def _siglip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Name timm's weights as transformers does."""
    found = {
        "embeddings.position_embedding.weight": state["pos_embed"][0],
        "head.probe": state["attn_pool.latent"],
    }
    names = {
        "embeddings.patch_embedding": "patch_embed.proj",
        "post_layernorm": "norm",
        "head.attention.out_proj": "attn_pool.proj",
        "head.layernorm": "attn_pool.norm",
        "head.mlp.fc1": "attn_pool.mlp.fc1",
        "head.mlp.fc2": "attn_pool.mlp.fc2",
    }
    for kind in ("weight", "bias"):
        pooling = [state[f"attn_pool.{each}.{kind}"] for each in ("q", "kv")]
        found[f"head.attention.in_proj_{kind}"] = torch.cat(pooling)
        for layer in range(2):
            to, of = f"encoder.layers.{layer}", f"blocks.{layer}"
            for each, part in zip("qkv", state[f"{of}.attn.qkv.{kind}"].chunk(3), strict=True):
                found[f"{to}.self_attn.{each}_proj.{kind}"] = part
            names |= {f"{to}.layer_norm{each}": f"{of}.norm{each}" for each in (1, 2)}
            names |= {f"{to}.mlp.fc{each}": f"{of}.mlp.fc{each}" for each in (1, 2)}
            names[f"{to}.self_attn.out_proj"] = f"{of}.attn.proj"
    return found | {
        f"{to}.{kind}": state[f"{of}.{kind}"] for to, of in names.items() for kind in ("weight", "bias")
    }


def test_pictures_of_another_size_than_a_map_is_known_for_are_refused(store: belvedere.Store) -> None:
    net = timm.create_model("convnext_atto", depths=(1, 1, 1, 1), dims=(4, 4, 8, 8), num_classes=5).eval()
    small = functools.partial(Image.Image.resize, size=(32, 32))  # timm says 224
    store.add_model("net", net, transform=lambda each: TO_TENSOR(small(each)), transform_id="32")
    assert not store.view("token_contributions").fill(progress=False).complete
    assert "is it given pictures of another size?" in str(store.errors()[0].message)


def test_patches_of_a_tower_that_is_not_square_lie_in_its_own_rows(store: belvedere.Store) -> None:
    sizes: dict[str, Any] = {
        "embed_dim": 16,
        "depth": 1,
        "num_heads": 2,
        "img_size": (16, 64),
        "patch_size": 8,
    }
    net: Any = timm.create_model("vit_tiny_patch16_224", num_classes=5, **sizes).eval()
    wide = functools.partial(Image.Image.resize, size=(64, 16))
    store.add_model("net", net, transform=lambda each: TO_TENSOR(wide(each)), transform_id="64 × 16")
    view = store.view("patch_contributions")
    assert view.shape[1:] == (2, 8, 5)
    tokens = store.view("token_contributions")[:4].sum((1, 2))
    np.testing.assert_allclose(view[:4].reshape(4, 16, 5), tokens[:, 1:], atol=1e-6)


def test_a_map_of_as_many_places_in_other_rows_is_refused(store: belvedere.Store) -> None:
    sizes: dict[str, Any] = {"depths": (1, 1, 1, 1), "dims": (4, 4, 8, 8), "num_classes": 5}
    net: Any = timm.create_model("convnext_atto", **sizes).eval()
    net.pretrained_cfg = {**net.pretrained_cfg, "input_size": (3, 64, 64)}
    long = functools.partial(Image.Image.resize, size=(128, 32))
    store.add_model("net", net, transform=lambda each: TO_TENSOR(long(each)), transform_id="128 × 32")
    assert not store.view("patch_contributions").fill(progress=False).complete
    assert "its last map has 1 rows of 4 places, and its configuration tells of 2 rows of 2" in str(
        store.errors()[0].message
    )


SIZES: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
PIXELS: dict[str, Any] = {"image_size": SIDE, "patch_size": 8}
CLASSES: dict[str, Any] = {"num_labels": 5}
WITHOUT_TEXTS: dict[str, Callable[[], Any]] = {
    "ViT": lambda: transformers.ViTForImageClassification(
        transformers.ViTConfig(**SIZES, **PIXELS, **CLASSES, intermediate_size=24)
    ),
    "DeiT": lambda: transformers.DeiTModel(transformers.DeiTConfig(**SIZES, **PIXELS, intermediate_size=24)),
    "DINOv2 with registers": lambda: transformers.Dinov2WithRegistersModel(
        transformers.Dinov2WithRegistersConfig(**SIZES, **PIXELS)
    ),
    "timm DeiT": lambda: timm.create_model(
        "deit_tiny_patch16_224",
        img_size=SIDE,
        patch_size=8,
        depth=2,
        embed_dim=16,
        num_heads=2,
        num_classes=5,
    ),
    "timm DINOv2 with registers": lambda: timm.create_model(
        "vit_small_patch14_reg4_dinov2",
        img_size=SIDE,
        patch_size=8,
        depth=2,
        embed_dim=16,
        num_heads=2,
        num_classes=0,
    ),
}


@pytest.mark.parametrize("kind", WITHOUT_TEXTS)
def test_a_model_without_texts_is_taken_apart_up_to_its_feature_or_its_logits(
    store: belvedere.Store, kind: str
) -> None:
    torch.manual_seed(0)
    net: nn.Module = randomised(WITHOUT_TEXTS[kind]().eval())
    model = store.add_model("net", net, transform=TO_TENSOR, transform_id="half")
    heads = store.view("head_contributions")[...]
    rest = store.view("residual_contributions")[...].sum(1)
    total = heads.sum((1, 2)) + store.view("mlp_contributions")[...].sum(1) + rest
    embedding = store.view("image_embeddings")[...]
    np.testing.assert_allclose(total, embedding, atol=2e-6)
    assert model.shape.prefix == {"DeiT": 2}.get(kind, 5 if "registers" in kind else 1)
    assert model.shape.joint == (5 if kind in ("ViT", "timm DeiT") else 16)


def test_a_tokenizer_of_the_hub_is_asked_for_when_texts_are_embedded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: belvedere.Store
) -> None:
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", True)
    name = "ViT-B-16-quickgelu"
    config = {**open_clip.get_model_config(name), "embed_dim": 12}
    config["vision_cfg"] = {**config["vision_cfg"], "layers": 2, "width": 128, "image_size": 32}
    config["text_cfg"] = {**TEXT, "hf_tokenizer_name": "belvedere/none"}
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "hub-words.json").write_text(json.dumps(config))
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", dict(open_clip.factory._MODEL_CONFIGS))
    open_clip.add_model_config(folder / "hub-words.json")
    torch.manual_seed(0)
    net = open_clip.create_model("hub-words", pretrained=None, load_weights=False)
    torch.save(net.state_dict(), tmp_path / "weights.pt")
    model = store.add_model("m", "open_clip:hub-words", checkpoint=tmp_path / "weights.pt")
    assert model.text["tokenizer"] == {"hub": "belvedere/none", "context_length": 24}
    assert store.view("image_embeddings")[...].shape == (5, 12)
    store.add_texts("words", ["a dog"])
    with pytest.raises(BadSource, match=r"the tokenizer of hub-words \(belvedere/none\) cannot be loaded"):
        store.view("text_embeddings", texts="words")[...]
