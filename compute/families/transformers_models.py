"""Vision models of transformers: `hf:FOLDER` or `hf:REPOSITORY`, with a head of classes or without one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...store.errors import BadSource
from .. import hub, model_files
from .family import Found, Transform

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor, nn

_CLASSIFIER = "ForImageClassification"


@dataclass(frozen=True, slots=True)
class Transformers(Found):
    """A vision model of transformers, found but not loaded."""

    name: str
    """Its folder, or its repository on the hub."""
    classifies: bool
    """Whether its checkpoint has a head of classes, which is then a part of the model."""

    def build(self, precision: str) -> nn.Module:
        """Let transformers make the model and load its weights; `BadSource` where some are missing."""
        import transformers

        kind = transformers.AutoModelForImageClassification if self.classifies else transformers.AutoModel
        folder = hub.fetch(self.name, weights=True)
        made: nn.Module = hub.load(kind, folder, precision, f"hf:{self.name}")
        return made

    def image_side(self, net: nn.Module) -> nn.Module:
        """Give the vision tower of a model that has one beside another, as CLIP has; else all of it."""
        side: nn.Module = getattr(net, "vision_model", net)
        return side

    def transform(self, net: nn.Module) -> Transform:
        """Give the model's own image processor."""
        processor = self._processor(hub.fetch(self.name, weights=False))

        def transform(picture: Image.Image) -> Tensor:
            pixels: Tensor = processor(images=picture, return_tensors="pt")["pixel_values"][0]
            return pixels

        return transform

    def image_facts(self, net: nn.Module) -> dict[str, Any]:
        """Give the weights, the configuration and the preprocessing of the side that images go through."""
        from ..weights import weights_digest

        folder = hub.fetch(self.name, weights=False)
        side = self.image_side(net)
        config = model_files.lasting(model_files.read_json(folder / "config.json"))
        return {
            "weights": weights_digest(side.state_dict().items()),
            "architecture": {
                "transformers": type(side).__name__,
                "config": config.get("vision_config", config),
            },
            "preprocessing": model_files.configurations(
                folder, "preprocessor_config.json", "processor_config.json"
            ),
        }

    def _processor(self, folder: Path) -> Any:
        from transformers import AutoImageProcessor

        hub.quiet()
        try:
            return AutoImageProcessor.from_pretrained(folder)  # type: ignore[no-untyped-call]
        except Exception as error:  # whatever transformers raises for files that are not there
            raise BadSource(
                f"the image processor of hf:{self.name} cannot be loaded: {model_files.first_line(error)}"
            ) from error


def find(source: str, checkpoint: str | None) -> Transformers:
    """Find what `hf:FOLDER` or `hf:REPOSITORY` names; no weights are read.

    Raises `BadSource` for a folder that is none of a vision model, for a repository that cannot be reached,
    and for a checkpoint, since the weights belong to the folder.
    """
    name = source.removeprefix("hf:")
    if checkpoint is not None:
        raise BadSource(f"{source} has its own weights, so checkpoint={checkpoint!r} has no place")
    folder = hub.fetch(name, weights=False)
    config = model_files.read_json(folder / "config.json")
    if "model_type" not in config:
        raise BadSource(f"{folder / 'config.json'} says no model_type: it is not of a transformers model")
    if not model_files.configurations(folder, "preprocessor_config.json", "processor_config.json"):
        raise BadSource(
            f"{source} ({config['model_type']}) takes no pictures: no preprocessor_config.json is with it"
        )
    classes = any(each.endswith(_CLASSIFIER) for each in config.get("architectures") or ())
    return Transformers(str(folder) if Path(name).expanduser().is_dir() else name, classes)
