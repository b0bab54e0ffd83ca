"""Captioners: image-to-text models of transformers, such as BLIP and BLIP-2, from a folder or the hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..demo import captioner_dir
from ..store import digest
from ..store.errors import BadSource, UnknownName
from . import hub

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

SOURCES = ("hf:REPOSITORY", "hf:FOLDER", "demo:captioner")
"""The sources that are known."""
BATCH = 32
"""Pictures that are captioned at once, while the device has room for them."""


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
            "weights": hub.weights_facts(folder),
            "architecture": hub.configurations(folder, "config.json", "generation_config.json"),
            "preprocessing": hub.configurations(folder, "preprocessor_config.json", "processor_config.json"),
            "tokenizer": {
                "vocabulary": digest.of_bytes(tokenizer.backend_tokenizer.to_str().encode()),
                "chat": str(tokenizer.chat_template or ""),
            },
        }

    def load(self, device: str, precision: str) -> LoadedCaptioner:
        """Load it on a device, in float32, float16 or bfloat16; `BadSource` where that cannot be done."""
        from transformers import AutoModelForImageTextToText

        from . import models

        if precision not in models.PRECISIONS:
            raise BadSource(f"precision {precision!r} is none of {', '.join(models.PRECISIONS)}")
        place, folder = models.place(device), hub.fetch(self.name, weights=True)
        processor = self._processor(folder)
        net = hub.load(AutoModelForImageTextToText, folder, precision, self.source)
        return LoadedCaptioner(net.to(place), processor, place)

    def _processor(self, folder: Path) -> Any:
        from transformers import AutoProcessor

        hub.quiet()
        try:
            processor = AutoProcessor.from_pretrained(folder)  # type: ignore[no-untyped-call]
        except Exception as error:  # whatever transformers raises for files that are not there
            raise BadSource(
                f"the processor of {self.source} cannot be loaded: {hub.first_line(error)}"
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
    fits: int = BATCH
    """How many pictures are captioned at once; half as many after the device had no room."""

    def caption(
        self,
        pictures: Sequence[Image.Image],
        *,
        max_new_tokens: int = 32,
        min_length: int = 5,
        prompt: str | None = None,
    ) -> list[str]:
        """Caption pictures greedily, as the model writes: see `caption_text.clean` for what can go wrong.

        Args:
            pictures: Pictures of any size and mode.
            max_new_tokens: Tokens of a caption at most, the prompt not counted.
            min_length: Tokens of a caption at least, its first mark counted, as in BLIP's own code.
            prompt: A text that the model goes on with, or the question to a model that chats; it is not part
                of what is given back.

        Returns:
            One caption for each picture, in their order.
        """
        import torch

        captions: list[str] = []
        least = min(max(min_length - 1, 0), max_new_tokens)
        limits = {"max_new_tokens": max_new_tokens, "min_new_tokens": least}
        while len(captions) < len(pictures):
            part = [each.convert("RGB") for each in pictures[len(captions) : len(captions) + self.fits]]
            try:
                captions += self._written(part, prompt, limits)
            except torch.OutOfMemoryError:
                if len(part) == 1:
                    raise
                self.fits = len(part) // 2
                torch.cuda.empty_cache()
        return captions

    def _written(self, pictures: list[Image.Image], prompt: str | None, limits: dict[str, int]) -> list[str]:
        import torch

        inputs = self._prepared(pictures, prompt).to(self.device)
        inputs["pixel_values"] = inputs["pixel_values"].to(self.net.dtype)
        with torch.inference_mode():
            ids = self.net.generate(**inputs, do_sample=False, num_beams=1, **limits)
        ids = ids[:, _repeated(inputs.get("input_ids"), ids) :]
        texts = self.processor.batch_decode(ids, skip_special_tokens=True)
        return [str(text).strip() for text in texts]

    def _prepared(self, pictures: list[Image.Image], prompt: str | None) -> Any:
        """Prepare pictures, with the prompt as this model takes it."""
        if getattr(self.processor, "chat_template", None):
            question = prompt or "What does this picture show? Answer with one short sentence."
            parts = [{"type": "image"}, {"type": "text", "text": question}]
            text = self.processor.apply_chat_template(
                [{"role": "user", "content": parts}], add_generation_prompt=True
            )
            shown = [[each] for each in pictures]
            return self.processor(images=shown, text=[text] * len(shown), padding=True, return_tensors="pt")
        if prompt is None:
            return self.processor(images=pictures, return_tensors="pt")
        return self.processor(images=pictures, text=[prompt] * len(pictures), return_tensors="pt")


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
    kind = hub.read_json(folder / "config.json").get("model_type")
    if kind not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        raise BadSource(
            f"{source} holds a model of type {kind!r}, which writes no texts about pictures; "
            "BLIP ('blip') and BLIP-2 ('blip-2') do"
        )
    return Captioner(source, str(folder) if Path(name).expanduser().is_dir() else name)


def _repeated(asked: Tensor | None, ids: Tensor) -> int:
    """Count the tokens of what was asked with which all that was written begins.

    BLIP writes another first token than it was given, and leaves out the last, the mark of the end.
    """
    if asked is None:
        return 0
    for length in (asked.shape[1], asked.shape[1] - 1):
        if length > 1 and ids[:, 1:length].equal(asked[:, 1:length]):
            return length
    return 0
