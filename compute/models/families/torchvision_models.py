"""Models of torchvision: `torchvision:NAME/WEIGHTS`, or `torchvision:NAME` with a checkpoint file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from ....store.errors import BadSource, UnknownName
from .. import checkpoints
from ..family import Found, Transform

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Torchvision(Found):
    """A torchvision model, found but not loaded."""

    name: str
    """Its name, such as `resnet50`."""
    weights: str
    """The name of published weights, whose preprocessing is used, such as `IMAGENET1K_V2`."""
    checkpoint: str | None
    """A file of weights that takes the place of the published ones."""

    @property
    def _entry(self) -> Any:
        import torchvision

        return torchvision.models.get_model_weights(self.name)[self.weights]

    def build(self, precision: str) -> nn.Module:
        """Let torchvision make the model; a checkpoint may be of another number of classes."""
        import torchvision

        def make() -> nn.Module:
            known = None if self.checkpoint is not None else self._entry
            net: nn.Module = torchvision.models.get_model(self.name, weights=known)
            return net

        source = f"torchvision:{self.name}/{self.weights}"
        return checkpoints.built(make, source, self.checkpoint, precision)

    def transform(self, net: nn.Module) -> Transform:
        """Give the preprocessing that belongs to the weights."""
        made: Transform = self._entry.transforms()
        return made

    def image_facts(self, net: nn.Module) -> dict[str, Any]:
        """Give the weights, the architecture's name and the preprocessing."""
        from ..weights import weights_digest

        steps = vars(self._entry.transforms())
        settings = {k: _plain(v) for k, v in steps.items() if not k.startswith("_") and k != "training"}
        return {
            "weights": weights_digest(net.state_dict().items()),
            "architecture": {"torchvision": self.name},
            "preprocessing": settings,
        }


def find(source: str, checkpoint: str | None) -> Torchvision:
    """Find what `torchvision:NAME/WEIGHTS` names; a checkpoint takes the place of its weights.

    WEIGHTS also say which preprocessing is used; beside a checkpoint they may be left out, and torchvision's
    default is meant. Raises `UnknownName` for a model or
    weights that torchvision has not.
    """
    import torchvision

    name, _, weights = source.removeprefix("torchvision:").partition("/")
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise UnknownName("torchvision model for pictures", name, known)
    entries = torchvision.models.get_model_weights(name).__members__
    if checkpoint is None and not weights:
        raise BadSource(
            f"{source} says no weights: name some ({source}/{next(iter(entries))}) or a file (checkpoint=…)"
        )
    if weights and weights not in entries:
        raise UnknownName(f"weights of torchvision's {name}", weights, entries)
    path = None if checkpoint is None else checkpoints.check(checkpoint)
    return Torchvision(name, _canonical(entries, weights or "DEFAULT"), path)


def _canonical(entries: Any, name: str) -> str:
    """Give the name that weights have in themselves: DEFAULT is another word for one of them."""
    return str(entries[name].name)


def _plain(value: Any) -> Any:
    """Turn a setting of a preprocessing to what JSON gives back unchanged."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Enum):
        return _plain(value.value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)
