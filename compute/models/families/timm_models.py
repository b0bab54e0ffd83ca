"""Models of timm: `timm:NAME`, with its published weights or a checkpoint, a folder of one, the demo's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ....demo import classifier_dir
from ....store.errors import BadSource, UnknownName
from .. import checkpoints
from ..family import Found, Transform

if TYPE_CHECKING:
    from torch import nn

    from ...towers.tower import Tower

LOCAL = "local-dir:"


@dataclass(frozen=True, slots=True)
class Timm(Found):
    """A timm model, found but not loaded."""

    name: str
    """Its name with the tag of its weights, such as `resnet50.a1_in1k`, or `local-dir:` and a folder."""
    architecture: Mapping[str, Any]
    """What it is called in timm, with the arguments by which a folder changes it."""
    checkpoint: str | None
    """A file of weights that takes the place of the published ones."""

    def build(self, precision: str) -> nn.Module:
        """Let timm make the model."""
        import timm

        def make() -> nn.Module:
            return timm.create_model(self.name, pretrained=self.checkpoint is None)

        return checkpoints.built(make, f"timm:{self.name}", self.checkpoint, precision)

    def tower(self, net: nn.Module) -> Tower:
        """Take the model apart, up to its logits or pooled features."""
        from ...towers.vision import vision

        return vision(net, f"timm:{self.name}")

    def transform(self, net: nn.Module) -> Transform:
        """Give the evaluation preprocessing of timm's configuration of the model."""
        from timm.data import create_transform  # type: ignore[attr-defined]

        made: Transform = create_transform(**self._data(net), is_training=False)
        return made

    def image_facts(self, net: nn.Module) -> dict[str, Any]:
        """Give the weights, the architecture's name and the preprocessing."""
        from ..weights import weights_digest

        data = {k: list(v) if isinstance(v, tuple) else v for k, v in self._data(net).items()}
        return {
            "weights": weights_digest(net.state_dict().items()),
            "architecture": dict(self.architecture),
            "preprocessing": data,
        }

    def _data(self, net: nn.Module) -> dict[str, Any]:
        from timm.data import resolve_model_data_config  # type: ignore[attr-defined]

        found: dict[str, Any] = resolve_model_data_config(net)  # type: ignore[no-untyped-call]
        return found


def find(source: str, checkpoint: str | None) -> Timm:
    """Find what `timm:NAME`, `timm:local-dir:FOLDER` or `demo:classifier` names; no weights are read.

    Raises `UnknownName` for a name or tag that timm has not, and `BadSource` for a folder that is none of a
    timm model, or a model without weights.
    """
    path = None if checkpoint is None else checkpoints.check(checkpoint)
    name = f"{LOCAL}{classifier_dir()}" if source == "demo:classifier" else source.removeprefix("timm:")
    if name.startswith(LOCAL):
        return _local(name.removeprefix(LOCAL), path)
    import timm

    arch, _, tag = name.partition(".")
    _known(arch)
    tags = [each.partition(".")[2] for each in timm.list_pretrained(f"{arch}.*")]
    if tag and tag not in tags:
        raise UnknownName(f"pretrained tag of timm's {arch}", tag, tags)
    if path is None and not tags:
        raise BadSource(f"timm has no weights for {arch}: name a file with checkpoint=… (--checkpoint)")
    return Timm(name, {"timm": arch}, path)


def _local(folder: str, checkpoint: str | None) -> Timm:
    """Find the model that timm saved in a folder: `config.json` beside `model.safetensors`."""
    path = Path(folder).expanduser().resolve()
    config = path / "config.json"
    if not config.is_file():
        raise BadSource(f"{folder} is no timm model folder: there is no config.json in it")
    try:
        facts = json.loads(config.read_bytes())
        arch, arguments = str(facts["architecture"]), dict(facts.get("model_args") or {})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadSource(f"{config} is not a configuration that timm reads ({error})") from error
    _known(arch)
    return Timm(
        f"{LOCAL}{path}", {"timm": arch, **({"model_args": arguments} if arguments else {})}, checkpoint
    )


def _known(arch: str) -> None:
    import timm

    if not timm.is_model(arch):
        raise UnknownName("timm model", arch, timm.list_models())
