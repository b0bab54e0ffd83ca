"""Models of open_clip: `open_clip:ARCHITECTURE/TAG`, a checkpoint of one, a folder of one, the demo's."""

from __future__ import annotations

import json
import logging
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ....demo import clip_dir
from ....store import digest
from ....store.errors import BadSource, UnknownName
from ...towers.support import shape_of
from .. import model_files
from ..family import Found, Transform
from ..tokenizers import vocabulary

if TYPE_CHECKING:
    from torch import nn

    from ...towers.tower import Tower

LOCAL = "local-dir:"
_PRECISION = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}


@dataclass(frozen=True, slots=True)
class OpenClip(Found):
    """An open_clip model, found but not loaded."""

    arch: str
    """A built-in configuration's name, or `local-dir:` and a folder."""
    weights: str | None
    """A pretrained tag or the path of a checkpoint; None where the folder has them."""
    config: Mapping[str, Any]
    """Its model configuration: embed_dim, vision_cfg, text_cfg, quick_gelu."""
    for_its_tower: ClassVar[bool] = True

    @property
    def quick_gelu(self) -> bool:
        """Whether its MLPs use QuickGELU; a pretrained tag knows better than the configuration."""
        import open_clip

        tag: Mapping[str, Any] = {}
        if self.weights and not self.arch.startswith(LOCAL):
            tag = open_clip.get_pretrained_cfg(self.arch, self.weights) or {}
        return bool(tag.get("quick_gelu", self.config.get("quick_gelu", False)))

    def build(self, precision: str) -> Any:
        """Let open_clip make the model and load its weights."""
        import open_clip

        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="QuickGELU mismatch")  # settled by force_quick_gelu
                return open_clip.create_model(
                    self.arch,
                    pretrained=self.weights,
                    precision=_PRECISION[precision],
                    force_quick_gelu=self.quick_gelu,
                    require_pretrained=True,
                ).eval()
        except Exception as error:
            what = f"{self.arch.removeprefix(LOCAL)} with {self.weights or 'its own weights'}"
            raise BadSource(f"{what} cannot be loaded: {_reason(error)}") from error

    def image_side(self, net: Any) -> nn.Module:
        """Give the vision tower."""
        side: nn.Module = net.visual
        return side

    def tower(self, net: Any) -> Tower:
        """Take the vision tower to be taken apart."""
        from ...towers.vision import vision

        return vision(net.visual, self.arch.removeprefix(LOCAL))

    def transform(self, net: Any) -> Transform:
        """Give open_clip's preprocessing as the model's configuration asks for it."""
        from open_clip.transform import PreprocessCfg, image_transform_v2

        made: Transform = image_transform_v2(PreprocessCfg(**net.visual.preprocess_cfg), is_train=False)
        return made

    def image_facts(self, net: Any) -> dict[str, Any]:
        """Give the weights, the configuration and the preprocessing of the vision tower."""
        from ..weights import weights_digest

        return {
            "weights": weights_digest(net.visual.state_dict().items()),
            "architecture": {
                "vision_cfg": dict(self.config["vision_cfg"]),
                "embed_dim": self.config["embed_dim"],
                "quick_gelu": self.quick_gelu,
            },
            "preprocessing": _plain(net.visual.preprocess_cfg),
        }

    def text_facts(self, net: Any) -> dict[str, Any]:
        """Give the weights, the configuration and the vocabulary of the text tower."""
        from ..weights import weights_digest

        state = [(name, value) for name, value in net.state_dict().items() if not name.startswith("visual.")]
        state = [(name, value) for name, value in state if name not in ("logit_scale", "logit_bias")]
        return {
            "weights": weights_digest(state),
            "architecture": {
                "text_cfg": {k: v for k, v in self.config["text_cfg"].items() if k != "hf_tokenizer_name"},
                "embed_dim": self.config["embed_dim"],
                "quick_gelu": self.quick_gelu,
            },
            "tokenizer": self._tokenizer_facts(),
        }

    def _tokenizer_facts(self) -> dict[str, Any]:
        """Give the vocabulary, or the name of it on the hub, which is asked once texts are embedded."""
        config = self.config["text_cfg"]
        name = config.get("hf_tokenizer_name")
        if name and not self.arch.startswith(LOCAL):
            length = int(config.get("context_length", 77))
            options = dict(config.get("tokenizer_kwargs") or {})
            return {"hub": name, "context_length": length, **({"options": options} if options else {})}
        options = config.get("tokenizer_kwargs") or {}
        listed = self.arch.startswith(LOCAL) or "siglip" not in self.arch.lower()
        if not name and listed and not {"bpe_path", "additional_special_tokens"} & set(options):
            return {
                "vocabulary": _usual_vocabulary(),
                "context_length": int(config.get("context_length", 77)),
            }
        tokenizer = self.tokenizer()
        return {"vocabulary": vocabulary(tokenizer), "context_length": int(tokenizer.context_length)}

    def tokenizer(self) -> Any:
        """Let open_clip make the tokenizer; `BadSource` where the hub has it, and cannot be reached."""
        import open_clip

        config = self.config["text_cfg"]
        try:
            if config.get("hf_tokenizer_name"):
                return open_clip.get_tokenizer(self.arch)
            return _usual_tokenizer(self.arch, digest.of_facts(config))
        except Exception as error:  # whatever the hub's client raises
            name = config.get("hf_tokenizer_name")
            raise BadSource(
                f"the tokenizer of {self.arch.removeprefix(LOCAL)} ({name or 'its own'}) cannot be loaded "
                f"({model_files.first_line(error)}), so no text can be embedded; images can"
            ) from error


@lru_cache(maxsize=8)
def _usual_tokenizer(arch: str, config: str) -> Any:
    """Let open_clip make a tokenizer of the vocabulary that is part of it; that takes a while each time.

    `config` is the digest of what the architecture says of texts: what a folder says may change.
    """
    import open_clip

    return open_clip.get_tokenizer(arch)


@cache
def _usual_vocabulary() -> str:
    """Give the digest of CLIP's own vocabulary, which open_clip takes where a configuration names none."""
    from open_clip.tokenizer import SimpleTokenizer

    return vocabulary(SimpleTokenizer())


def find(source: str, checkpoint: str | None) -> OpenClip:
    """Find what `demo:clip` or `open_clip:…` names.

    Raises `UnknownName` for an architecture or tag that does not exist, `BadSource` for files that do not,
    and `UnsupportedTower` for a vision tower that is not decomposed; no weights are read.
    """
    rest = source.removeprefix("open_clip:")
    if source == "demo:clip":
        found = _local(str(clip_dir()))
    else:
        found = _local(rest.removeprefix(LOCAL)) if rest.startswith(LOCAL) else _built_in(rest, checkpoint)
    if checkpoint is not None and found.arch.startswith(LOCAL):
        raise BadSource(f"{source} has its own weights, so checkpoint={checkpoint!r} has no place")
    shape_of(found.config, source)
    return found


def _built_in(rest: str, checkpoint: str | None) -> OpenClip:
    import open_clip

    arch, _, tag = rest.partition("/")
    config = open_clip.get_model_config(arch)
    if config is None:
        raise UnknownName("open_clip architecture", arch, open_clip.list_models())
    tags = open_clip.list_pretrained_tags_by_model(arch)
    if checkpoint is not None:
        if tag:
            raise BadSource(
                f"{rest} names the tag {tag!r} and checkpoint={checkpoint!r}: give one of the two"
            )
        if not Path(checkpoint).is_file():
            raise BadSource(f"no checkpoint file {checkpoint}")
        return OpenClip(arch, str(Path(checkpoint).resolve()), config)
    if not tag:
        raise BadSource(
            f"open_clip:{arch} says no weights: name a tag (open_clip:{arch}/{tags[0] if tags else 'TAG'}) "
            "or a file (checkpoint=…)"
        )
    if tag not in tags:
        raise UnknownName(f"pretrained tag of {arch}", tag, tags)
    return OpenClip(arch, tag, config)


def _local(folder: str) -> OpenClip:
    path = Path(folder).expanduser().resolve()
    config = path / "open_clip_config.json"
    if not config.is_file():
        raise BadSource(f"{folder} is no open_clip model folder: there is no open_clip_config.json in it")
    try:
        facts = json.loads(config.read_bytes())["model_cfg"]
    except (ValueError, KeyError) as error:
        raise BadSource(f"{config} is not a configuration that open_clip reads ({error})") from error
    return OpenClip(f"{LOCAL}{path}", None, facts)


def _reason(error: Exception) -> str:
    """Say why a model cannot be loaded, and what to do."""
    from safetensors import SafetensorError

    first = " ".join(line.strip() for line in str(error).splitlines()[:2])
    byte = isinstance(error, KeyError) and isinstance(error.args[0], int)  # no opcode of a pickle
    if isinstance(error, pickle.UnpicklingError | SafetensorError | EOFError) or byte or not first:
        return "the file is no checkpoint of torch's or of safetensors"
    if "Failed to download" in first:
        return "its weights could not be fetched; name a file that is there with checkpoint=… (--checkpoint)"
    if "width changed" in first or "size mismatch" in str(error):
        return f"the checkpoint is of another architecture ({_short(first)})"
    return _short(first)


def _short(told: str, most: int = 240) -> str:
    """Cut what torch tells of every parameter."""
    return told if len(told) <= most else f"{told[:most].rstrip()} …"


def _plain(config: Any) -> dict[str, Any]:
    """Turn open_clip's preprocessing configuration to lists and numbers that JSON gives back unchanged."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in dict(config).items()}


for noisy in ("open_clip", "huggingface_hub"):  # what goes wrong is said once, in the error
    logging.getLogger(noisy).setLevel(logging.CRITICAL)
