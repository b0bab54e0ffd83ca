"""Models in memory: loaded, checked against what was registered, and ready to run."""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import pickle
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor, nn

from ..store import digest
from ..store.errors import BadSource, WeightsChanged
from ..store.sets import Model
from ..store.tracing import emit
from ..store.views import Array
from .model_sources import LOCAL, OpenClip, find
from .towers.constants import constants
from .towers.native import describe
from .towers.trace import Constants

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_OPEN_CLIP_PRECISION = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}


@dataclass(eq=False)
class Loaded:
    """A model on a device, in evaluation mode."""

    net: Any
    """The open_clip model."""
    transform: Callable[[Image.Image], Tensor]
    """The model's own preprocessing."""
    tokenizer: Any
    """The model's own tokenizer."""
    device: torch.device
    """Where it runs."""
    fits: int | None = None
    """The largest batch that is known to fit after one did not."""

    @cached_property
    def constants(self) -> Constants:
        """The vision tower's fixed maps."""
        return constants(self.visual)

    @property
    def visual(self) -> nn.Module:
        """The vision tower."""
        return cast("nn.Module", self.net.visual)

    def encode_texts(self, texts: Sequence[str]) -> Array:
        """Embed texts: float32 on the host, "text joint", not normalised."""
        tokens = self.tokenizer(list(texts)).to(self.device)
        with torch.inference_mode():
            features = self.net.encode_text(tokens)
        return cast("Array", features.float().cpu().numpy())

    def too_long(self, texts: Sequence[str]) -> list[int | None]:
        """Give each text's room in tokens where the text needs more than that, else None."""
        room = int(self.tokenizer.context_length)
        padding = int(self.tokenizer([""], context_length=room + 1)[0, -1])
        last = self.tokenizer(list(texts), context_length=room + 1)[:, -1]
        return [room if int(token) != padding else None for token in last]


def register(name: str, source: str, *, checkpoint: str | None, precision: str) -> Model:
    """Load a model once to learn what it is: its digests, shape and preprocessing.

    Raises what `find` raises, and `BadSource` for a checkpoint that does not fit the architecture.
    """
    if precision not in DTYPES:
        raise BadSource(f"precision {precision!r} is none of {', '.join(DTYPES)}")
    found = find(source, checkpoint)
    net = _build(found, "float32")
    libraries = {each: importlib.metadata.version(each) for each in ("torch", "open_clip_torch")}
    return Model(
        name=name,
        source=source,
        checkpoint=found.weights if checkpoint is not None else None,
        precision=cast("Any", precision),
        shape=describe(net.visual),
        image=_image_facts(found, net),
        text=_text_facts(found, net),
        libraries=libraries,
    )


def load(model: Model, device: str) -> Loaded:
    """Load a registered model to run it; `WeightsChanged` where it is no longer what was registered."""
    emit("load", model.name)
    place = _place(device)
    found = find(model.source, model.checkpoint)
    net = _build(found, "float32")
    if (_image_facts(found, net), _text_facts(found, net)) != (dict(model.image), dict(model.text)):
        now = {"image": _image_facts(found, net), "text": _text_facts(found, net)}
        changes = digest.differences({"image": model.image, "text": model.text}, now)
        raise WeightsChanged(
            f"model {model.name!r} is no longer what {model.source} was when it was added "
            f"({'; '.join(changes)}); add it again with replace=True (--replace), or under another name"
        )
    if model.precision != "float32":
        net = _build(found, model.precision)
    return Loaded(
        net.to(place).eval(),
        image_transform_v2(PreprocessCfg(**net.visual.preprocess_cfg), is_train=False),
        open_clip.get_tokenizer(found.arch),
        place,
    )


def _place(device: str) -> torch.device:
    """Find a device; `BadSource` says which there are."""
    try:
        place = torch.device(device)
        torch.empty(1, device=place)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        there = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
        there += ["mps"] if torch.backends.mps.is_available() else []
        raise BadSource(f"no device {device!r} to compute on; there are {', '.join(there)}") from error
    return place


def _build(found: OpenClip, precision: str) -> Any:
    """Let open_clip make the model and load its weights."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="QuickGELU mismatch")  # settled by force_quick_gelu
            return open_clip.create_model(
                found.arch,
                pretrained=found.weights,
                precision=_OPEN_CLIP_PRECISION[precision],
                force_quick_gelu=found.quick_gelu,
                require_pretrained=True,
            ).eval()
    except Exception as error:
        what = f"{found.arch.removeprefix(LOCAL)} with {found.weights or 'its own weights'}"
        raise BadSource(f"{what} cannot be loaded: {_reason(error, found)}") from error


def _reason(error: Exception, found: OpenClip) -> str:
    """Say why a model cannot be loaded, and what to do."""
    first = " ".join(line.strip() for line in str(error).splitlines()[:2])
    if isinstance(error, pickle.UnpicklingError | SafetensorError):
        return "the file is no checkpoint of torch's or of safetensors"
    if "Failed to download" in first:
        return "its weights could not be fetched; name a file that is there with checkpoint=… (--checkpoint)"
    if "width changed" in first or "size mismatch" in str(error):
        return f"the checkpoint is of another architecture ({first})"
    return first


def _image_facts(found: OpenClip, net: Any) -> dict[str, Any]:
    return {
        "weights": weights_digest(net.visual.state_dict().items()),
        "architecture": {
            "vision_cfg": dict(found.config["vision_cfg"]),
            "embed_dim": found.config["embed_dim"],
            "quick_gelu": found.quick_gelu,
        },
        "preprocessing": _plain(net.visual.preprocess_cfg),
    }


def _text_facts(found: OpenClip, net: Any) -> dict[str, Any]:
    state = [(name, value) for name, value in net.state_dict().items() if not name.startswith("visual.")]
    state = [(name, value) for name, value in state if name not in ("logit_scale", "logit_bias")]
    tokenizer = open_clip.get_tokenizer(found.arch)
    inner = getattr(tokenizer, "tokenizer", None)
    if inner is not None and hasattr(inner, "backend_tokenizer"):
        vocabulary = digest.of_bytes(inner.backend_tokenizer.to_str().encode())
    else:
        vocabulary = digest.of_facts({"vocabulary": sorted(tokenizer.encoder.items())})
    return {
        "weights": weights_digest(state),
        "architecture": {
            "text_cfg": {k: v for k, v in found.config["text_cfg"].items() if k != "hf_tokenizer_name"},
            "embed_dim": found.config["embed_dim"],
            "quick_gelu": found.quick_gelu,
        },
        "tokenizer": {"vocabulary": vocabulary, "context_length": int(tokenizer.context_length)},
    }


def _plain(config: Any) -> dict[str, Any]:
    """Turn open_clip's preprocessing configuration to lists and numbers that JSON gives back unchanged."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in dict(config).items()}


def weights_digest(state: Iterable[tuple[str, Tensor]]) -> str:
    """Give the SHA-256 of named tensors: each name, data type, shape and little-endian bytes, sorted."""
    total = hashlib.sha256()
    for name, tensor in sorted(state, key=lambda item: item[0]):
        data = np.ascontiguousarray(tensor.detach().cpu().numpy())
        total.update(digest.canonical([name, str(data.dtype), list(data.shape)]))
        total.update(data.reshape(-1).view(np.uint8).data)
    return total.hexdigest()


for noisy in ("open_clip", "huggingface_hub"):  # what goes wrong is said once, in the error
    logging.getLogger(noisy).setLevel(logging.CRITICAL)
