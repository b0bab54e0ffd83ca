"""Where a model comes from: a source's name, taken apart and checked before anything is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..demo import clip_dir
from ..store.errors import BadSource, UnknownName
from .towers.support import refuse_unless_supported

LOCAL = "local-dir:"


@dataclass(frozen=True, slots=True)
class OpenClip:
    """An open_clip model, found but not loaded."""

    arch: str
    """A built-in configuration's name, or `local-dir:` and a folder."""
    weights: str | None
    """A pretrained tag or the path of a checkpoint; None where the folder has them."""
    config: Mapping[str, Any]
    """Its model configuration: embed_dim, vision_cfg, text_cfg, quick_gelu."""

    @property
    def quick_gelu(self) -> bool:
        """Whether its MLPs use QuickGELU; a pretrained tag knows better than the configuration."""
        import open_clip

        tag: Mapping[str, Any] = {}
        if self.weights and not self.arch.startswith(LOCAL):
            tag = open_clip.get_pretrained_cfg(self.arch, self.weights) or {}
        return bool(tag.get("quick_gelu", self.config.get("quick_gelu", False)))


def find(source: str, checkpoint: str | None = None) -> OpenClip:
    """Take apart a source and find what it names.

    `open_clip:ViT-B-16/laion2b_s34b_b88k`, `open_clip:ViT-B-16` with a checkpoint file,
    `open_clip:local-dir:FOLDER`, or `demo:clip`.

    Raises `UnknownName` for a kind, architecture or tag that does not exist, `BadSource` for files that do
    not, and `UnsupportedTower` for a vision tower that is not decomposed; no weights are read.
    """
    if source == "demo:clip":
        found = _local(str(clip_dir()))
    elif source.startswith("open_clip:"):
        rest = source.removeprefix("open_clip:")
        found = _local(rest.removeprefix(LOCAL)) if rest.startswith(LOCAL) else _built_in(rest, checkpoint)
    else:
        kinds = ["open_clip:ARCHITECTURE/TAG", "open_clip:local-dir:FOLDER", "demo:clip"]
        raise UnknownName("model source", source, kinds)
    if checkpoint is not None and found.arch.startswith(LOCAL):
        raise BadSource(f"{source} has its own weights, so checkpoint={checkpoint!r} has no place")
    refuse_unless_supported(found.config, source)
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
