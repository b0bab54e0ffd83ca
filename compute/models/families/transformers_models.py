"""Vision models of transformers: `hf:FOLDER` or `hf:REPOSITORY`, with a head of classes or without one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ....store.errors import BadSource
from .. import hub, model_files
from ..family import Found, Transform
from ..tokenizers import VOCABULARIES, Tokenizer, teach

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor, nn

    from ...towers.tower import Tower

_CLASSIFIER = "ForImageClassification"
_ALONE = "CLIPVisionModelWithProjection"


@dataclass(frozen=True, slots=True)
class Transformers(Found):
    """A vision model of transformers, found but not loaded."""

    name: str
    """Its folder, or its repository on the hub."""
    classifies: bool
    """Whether its checkpoint has a head of classes, which is then a part of the model."""
    embeds_texts: bool
    """Whether it is a model of images and texts in one space."""

    def build(self, precision: str) -> nn.Module:
        """Let transformers make the model and load its weights; `BadSource` where some are missing."""
        import transformers

        folder = hub.fetch(self.name, weights=True)
        saved = model_files.read_json(folder / "config.json").get("architectures") or ()
        kind: Any = (
            transformers.AutoModelForImageClassification if self.classifies else transformers.AutoModel
        )
        if _ALONE in saved:  # what AutoModel makes of it has no projection
            kind = getattr(transformers, _ALONE)
        made: Any = hub.load(kind, folder, precision, f"hf:{self.name}")
        if self.embeds_texts:
            teach(made)
        return cast("nn.Module", made)

    def tower(self, net: nn.Module) -> Tower:
        """Take the model's vision tower apart."""
        from ...towers.vision import vision

        return vision(net, f"hf:{self.name}")

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
        state = list(side.state_dict().items())
        if hasattr(net, "visual_projection"):  # CLIP's stands beside its tower
            found: Any = net.visual_projection
            state += [(f"visual_projection.{key}", value) for key, value in found.state_dict().items()]
        config = model_files.lasting(model_files.read_json(folder / "config.json"))
        return {
            "weights": weights_digest(state),
            "architecture": {
                "transformers": type(side).__name__,
                "config": config.get("vision_config", config),
            },
            "preprocessing": model_files.configurations(
                folder, "preprocessor_config.json", "processor_config.json"
            ),
        }

    def text_facts(self, net: nn.Module) -> dict[str, Any]:
        """Give the weights, the configuration and the vocabulary of the text side; nothing without one."""
        from ..weights import weights_digest

        if not self.embeds_texts:
            return {}
        folder = hub.fetch(self.name, weights=False)
        tokenizer = self.tokenizer()
        images = ("vision_model.", "visual_projection.", "logit_scale", "logit_bias")
        state = [(name, value) for name, value in net.state_dict().items() if not name.startswith(images)]
        config = model_files.lasting(model_files.read_json(folder / "config.json"))
        return {
            "weights": weights_digest(state),
            "architecture": {"transformers": type(net).__name__, "config": config.get("text_config", {})},
            "tokenizer": {
                "vocabulary": tokenizer.vocabulary,
                "context_length": tokenizer.context_length,
            },
        }

    def tokenizer(self) -> Any:
        """Give the model's own tokenizer; None where it embeds no texts."""
        if not self.embeds_texts:
            return None
        folder = hub.fetch(self.name, weights=False)
        config = model_files.read_json(folder / "config.json").get("text_config") or {}
        return Tokenizer.of(folder, int(config.get("max_position_embeddings", 0)), f"hf:{self.name}")

    def _processor(self, folder: Path) -> Any:
        from transformers import AutoImageProcessor

        hub.quiet()
        try:
            return AutoImageProcessor.from_pretrained(folder)
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
    both = config["model_type"] in ("clip", "siglip") and not classes
    tokens = both and any((folder / each).is_file() for each in VOCABULARIES)
    return Transformers(str(folder) if Path(name).expanduser().is_dir() else name, classes, tokens)
