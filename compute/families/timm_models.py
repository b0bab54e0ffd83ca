"""Models of timm: `timm:NAME`, with the weights that timm knows by that name or with a checkpoint file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...store.errors import BadSource, UnknownName
from . import checkpoints
from .family import Found, Transform

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Timm(Found):
    """A timm model, found but not loaded."""

    name: str
    """Its name with the tag of its weights, such as `resnet50.a1_in1k`."""
    checkpoint: str | None
    """A file of weights that takes the place of the published ones."""

    def build(self, precision: str) -> nn.Module:
        """Let timm make the model."""
        import timm

        def make() -> nn.Module:
            return timm.create_model(self.name, pretrained=self.checkpoint is None)

        return checkpoints.built(make, f"timm:{self.name}", self.checkpoint, precision)

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
            "architecture": {"timm": self.name.partition(".")[0]},
            "preprocessing": data,
        }

    def _data(self, net: nn.Module) -> dict[str, Any]:
        from timm.data import resolve_model_data_config  # type: ignore[attr-defined]

        found: dict[str, Any] = resolve_model_data_config(net)  # type: ignore[no-untyped-call]
        return found


def find(source: str, checkpoint: str | None) -> Timm:
    """Find what `timm:NAME` names; `UnknownName` for a name or tag that timm has not."""
    import timm

    name = source.removeprefix("timm:")
    arch, _, tag = name.partition(".")
    if not timm.is_model(arch):
        raise UnknownName("timm model", arch, timm.list_models())
    tags = [each.partition(".")[2] for each in timm.list_pretrained(f"{arch}.*")]
    if tag and tag not in tags:
        raise UnknownName(f"pretrained tag of timm's {arch}", tag, tags)
    if checkpoint is None and not tags:
        raise BadSource(f"timm has no weights for {arch}: name a file with checkpoint=… (--checkpoint)")
    return Timm(name, None if checkpoint is None else checkpoints.check(checkpoint))
