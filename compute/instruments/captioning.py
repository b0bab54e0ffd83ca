"""Captioners: image-to-text models of transformers, such as BLIP and BLIP-2, from a folder or the hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...demo import captioner_dir
from ...store import digest
from ...store.errors import BadSource, UnknownName
from ..models import hub, model_files
from ..running.room import in_room

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

SOURCES = ("hf:REPOSITORY", "hf:FOLDER", "demo:captioner")
"""The sources that are known."""
BATCH = 32
"""Pictures that are captioned at once, while the device has room for them."""
QUESTION = "What does this picture show? Answer with one short sentence."
"""What a model that chats is asked."""


@dataclass(frozen=True, slots=True)
class Captioner:
    """A captioner that was found, and not loaded yet."""

    source: str
    """What it was asked for by."""
    name: str
    """Its folder, or its repository on the hub."""

    def facts(self) -> dict[str, Any]:
        """Give what identifies it, made of what JSON has: weights, configuration, tokenizer, preprocessing.

        Reads all weights, one tensor at a time; `BadSource` where they, or other files, cannot be read.
        """
        folder = hub.fetch(self.name, weights=True)
        tokenizer = self._processor(folder).tokenizer
        return {
            "weights": model_files.weights_facts(folder),
            "architecture": model_files.configurations(folder, "config.json", "generation_config.json"),
            "preprocessing": model_files.configurations(
                folder, "preprocessor_config.json", "processor_config.json"
            ),
            "tokenizer": {
                "vocabulary": digest.of_bytes(tokenizer.backend_tokenizer.to_str().encode()),
                "chat": str(tokenizer.chat_template or ""),
            },
        }

    def load(self, device: str, precision: str) -> LoadedCaptioner:
        """Load it on a device, in float32, float16 or bfloat16; `BadSource` where that cannot be done."""
        from transformers import AutoModelForImageTextToText

        from ..models import loaded

        if precision not in loaded.PRECISIONS:
            raise BadSource(f"precision {precision!r} is none of {', '.join(loaded.PRECISIONS)}")
        place, folder = loaded.place(device), hub.fetch(self.name, weights=True)
        processor = self._processor(folder)
        net = hub.load(AutoModelForImageTextToText, folder, precision, self.source)
        return LoadedCaptioner(net.to(place), processor, place)

    def _processor(self, folder: Path) -> Any:
        from transformers import AutoProcessor

        hub.quiet()
        try:
            processor = AutoProcessor.from_pretrained(folder)
        except Exception as error:  # whatever transformers raises for files that are not there
            raise BadSource(
                f"the processor of {self.source} cannot be loaded: {model_files.first_line(error)}"
            ) from error
        if not hasattr(processor, "tokenizer") or not hasattr(processor, "image_processor"):
            raise BadSource(
                f"{self.source} has a {type(processor).__name__}, which does not prepare pictures and texts"
            )
        return processor


@dataclass(eq=False, slots=True)
class LoadedCaptioner:
    """A captioner on a device."""

    net: Any
    """The model, in evaluation mode."""
    processor: Any
    """Its own preparation of pictures and texts."""
    device: Any
    """Where it runs."""
    fits: int | None = None
    """How many pictures are known to fit at once, after more did not."""

    def caption(
        self,
        pictures: Sequence[Image.Image],
        *,
        max_new_tokens: int = 32,
        min_length: int = 5,
    ) -> list[str]:
        """Caption pictures greedily, as the model writes: see `caption_text.clean` for what can go wrong.

        Args:
            pictures: Pictures of any size and mode.
            max_new_tokens: Tokens of a caption at most.
            min_length: Tokens of a caption at least, its first mark counted, as in BLIP's own code.

        Returns:
            One caption for each picture, in their order.
        """
        least = min(max(min_length - 1, 0), max_new_tokens)
        limits = {"max_new_tokens": max_new_tokens, "min_new_tokens": least}
        captions: list[str] = []
        for _, written in in_room(self, pictures, BATCH, lambda part: self._written(part, limits)):
            captions += written
        return captions

    def _written(self, pictures: Sequence[Image.Image], limits: dict[str, int]) -> list[str]:
        import torch

        inputs = self._prepared([each.convert("RGB") for each in pictures]).to(self.device)
        inputs["pixel_values"] = inputs["pixel_values"].to(self.net.dtype)
        with torch.inference_mode():
            ids = self.net.generate(**inputs, do_sample=False, num_beams=1, **limits)
        ids = ids[:, _repeated(inputs.get("input_ids"), ids) :]
        texts = self.processor.batch_decode(ids, skip_special_tokens=True)
        return [str(text).strip() for text in texts]

    def _prepared(self, pictures: list[Image.Image]) -> Any:
        """Prepare pictures; a model that chats is asked what they show."""
        if not getattr(self.processor, "chat_template", None):
            return self.processor(images=pictures, return_tensors="pt")
        parts = [{"type": "image"}, {"type": "text", "text": QUESTION}]
        text = self.processor.apply_chat_template(
            [{"role": "user", "content": parts}], add_generation_prompt=True
        )
        shown = [[each] for each in pictures]
        return self.processor(images=shown, text=[text] * len(shown), padding=True, return_tensors="pt")


def find(source: str) -> Captioner:
    """Find the captioner that a source names; no weights are read.

    `hf:Salesforce/blip-image-captioning-base`, `hf:FOLDER`, or `demo:captioner`.

    Raises `UnknownName` for a source of another kind, and `BadSource` for files that are not there, or that
    are of a model that writes no texts about pictures.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    if source == "demo:captioner":
        name = str(captioner_dir())
    elif source.startswith("hf:"):
        name = source.removeprefix("hf:")
    else:
        raise UnknownName("source of captioners", source, SOURCES)
    folder = hub.fetch(name, weights=False)
    kind = model_files.read_json(folder / "config.json").get("model_type")
    if kind not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        raise BadSource(
            f"{source} holds a model of type {kind!r}, which writes no texts about pictures; "
            "BLIP ('blip') and BLIP-2 ('blip-2') do"
        )
    return Captioner(source, str(folder) if Path(name).expanduser().is_dir() else name)


def _repeated(asked: Tensor | None, ids: Tensor) -> int:
    """Count the tokens of what was asked with which all that was written begins, as some models give them."""
    if asked is None or not ids[:, : asked.shape[1]].equal(asked):
        return 0
    return asked.shape[1]
