"""Models of images and texts that are given as modules: which part is whose, and whether their parts fit."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from PIL import Image

from ....store import digest
from ....store.errors import BadSource, UnsupportedTower
from .. import model_files, tokenizers
from ..made_of import code_of, plain, structure

if TYPE_CHECKING:
    from torch import nn

    from ...towers.tower import Tower

PARTS = ("visual", "vision_model")
"""What open_clip and transformers call the part of a model that images go through, beside one for texts."""
TAUGHT = ("clip", "siglip")
"""Kinds of transformers' models whose texts are embedded."""
CLOSE = 1e-3
"""How far two embeddings of unit norm may be apart that are the same but for rounding."""


def tokenizer_of(module: Any, given: Any) -> Any:
    """Give a tokenizer as open_clip's are called; `BadSource` where it is of no use."""
    if given is None:
        return None
    if not hasattr(module, "encode_text") and not hasattr(module, "get_text_features"):
        raise BadSource(
            f"tokenizer=… goes with a model that embeds texts, and {type(module).__name__} has neither "
            "encode_text nor get_text_features"
        )
    kind = getattr(getattr(module, "config", None), "model_type", None)
    if not hasattr(module, "encode_text") and kind not in TAUGHT:
        raise BadSource(
            f"of transformers' models, texts are embedded by those of {' and '.join(TAUGHT)}, whose padding "
            f"needs no mask; {type(module).__name__} is of {kind!r}"
        )
    return tokenizers.taken(given, getattr(getattr(module, "config", None), "text_config", None))


def image_side(net: nn.Module) -> nn.Module:
    """Give the part of a model of two sides that images go through; else the whole."""
    from torch import nn

    if not hasattr(net, "encode_text") and not hasattr(net, "get_text_features"):
        return net
    found = (getattr(net, name, None) for name in PARTS)
    return next((each for each in found if isinstance(each, nn.Module)), net)


def tower(net: nn.Module) -> Tower:
    """Take the vision tower apart, where its parts are known; a model of transformers is known as a whole."""
    from ...towers.vision import vision

    side = image_side(net)
    return vision(side if side is getattr(net, "visual", None) else net)


def _text_sizes(net: nn.Module) -> dict[str, Any]:
    """Give the sizes of a text tower that is taken apart, as open_clip's configurations have them."""
    from ...towers.text import text

    try:
        found = text(net)
    except UnsupportedTower:
        return {}
    shape, projection = found.shape, found.projection
    sizes = {"layers": shape.layers, "heads": shape.heads, "width": shape.width}
    last = {"proj_type": "none"} if projection is None else {}
    bias = {"proj_bias": True} if getattr(projection, "bias", None) is not None else {}
    return {
        "text_cfg": {**sizes, "context_length": shape.tokens, **last, **bias},
        "embed_dim": shape.joint,
    }


def of_images(net: nn.Module) -> dict[str, Any]:
    """Give what identifies the part that images go through: weights, code and settings; of all, where it is.

    With the projection that transformers' CLIP has beside its tower.
    """
    side = image_side(net)
    parts = [name for name, each in net.named_modules() if each is side and side is not net]
    return _identified(net, [*parts, "visual_projection"] if parts else [""], among=True)


def of_texts(net: nn.Module) -> dict[str, Any]:
    """Give what identifies all other parts, and the sizes of a text tower that is taken apart."""
    found = _identified(net, [*PARTS, "visual_projection", "logit_scale", "logit_bias"], among=False)
    return {**found, "architecture": {**found["architecture"], **_text_sizes(net)}}


def _identified(net: nn.Module, parts: Sequence[str], *, among: bool) -> dict[str, Any]:
    """Give the weights, the code and the settings of what is in some parts of a module, or in none."""
    from ..weights import weights_digest

    def wanted(name: str) -> bool:
        return among == any(not part or name == part or name.startswith(f"{part}.") for part in parts)

    kept = {**net.state_dict(), **dict(net.named_buffers())}
    modules = {name: each for name, each in structure(net).items() if wanted(name)}
    return {
        "weights": weights_digest((name, value) for name, value in kept.items() if wanted(name)),
        "architecture": {"modules": digest.of_facts(modules)},
    }


def settings(tokens: Any) -> list[Any]:
    """Say what a tokenizer does beside looking up: its class, and what it was made with."""
    own = getattr(tokens, "own", None)  # one of transformers'
    inner = own or getattr(tokens, "tokenizer", tokens)  # which its vocabulary identifies
    given = {} if own else {name: value for name, value in vars(tokens).items() if value is not inner}
    told = {
        name: plain(value)
        for name, value in sorted(given.items())
        if isinstance(value, bool | int | str | None) or (callable(value) and not inspect.ismethod(value))
    }
    strange = [name for name, value in told.items() if callable(given[name]) and not _has_code(given[name])]
    if strange:
        raise BadSource(f"nothing identifies what {strange[0]} of the tokenizer does: make it a function")
    sides = {name: getattr(inner, name, None) for name in ("padding_side", "truncation_side", "pad_token_id")}
    return [code_of(type(tokens)), told, sides]


def _has_code(value: Any) -> bool:
    """Tell whether something that is called is a function, or one with values put in, or a class."""
    return hasattr(value, "__qualname__") or (isinstance(value, partial) and _has_code(value.func))


def check_texts(module: Any, tokens: Any) -> None:
    """Refuse a tokenizer whose tokens the model does not take: `BadSource`."""
    import torch

    run = getattr(module, "encode_text", None) or (lambda given: module.get_text_features(input_ids=given))
    try:
        with torch.inference_mode():
            run(tokens(["a photo of two red stars on a field"]).to(next(module.parameters()).device))
    except Exception as error:  # whatever a model raises for tokens of another vocabulary or length
        raise BadSource(
            f"{type(module).__name__} does not take what its tokenizer gives, {tokens.context_length} tokens "
            f"a text ({model_files.first_line(error)}): give the one that it was trained with, such as "
            "open_clip.get_tokenizer(NAME, context_length=…)"
        ) from error


def check_images(module: Any, transform: Any) -> None:
    """Refuse a model whose embedding of an image is more than its vision tower's: `BadSource`.

    Whether the preprocessing is any good is for others to say.
    """
    import torch

    from ..loaded import SIDES

    if image_side(module) is module:
        return
    name = "encode_image" if hasattr(module, "encode_image") else "get_image_features"
    for length in SIDES:
        try:
            with torch.inference_mode():
                blank = transform(Image.new("RGB", (length, length)))[None]
                noise = torch.randn(blank.shape, generator=torch.Generator().manual_seed(0))
                pixels = noise.to(next(module.parameters()))
                ours = _unit(_looked_into(module)(pixels))
        except Exception:  # whatever it raises for pictures of a size that it was not made for
            continue
        try:
            with torch.inference_mode():
                theirs = _unit(getattr(module, name)(pixels))
        except Exception as error:
            raise _more(module, name) from error
        if ours.shape != theirs.shape or not torch.allclose(ours, theirs, atol=CLOSE, equal_nan=True):
            raise _more(module, name)
        return


def _looked_into(module: Any) -> Any:
    """Give what runs the vision tower as it is taken apart; as it is, where it cannot be."""
    try:
        return tower(module).run
    except UnsupportedTower:
        return image_side(module)


def _unit(output: Any) -> Any:
    import torch

    first = output[0] if isinstance(output, tuple) else getattr(output, "pooler_output", output)
    return torch.nn.functional.normalize(first.float(), dim=-1)


def _more(module: Any, name: str) -> BadSource:
    return BadSource(
        f"{name} of {type(module).__name__} makes something else of an image than its vision tower, which is "
        "what would be taken apart: give that tower alone, or let it do all of it"
    )
