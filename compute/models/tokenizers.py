"""Tokenizers, whoever made them, called as open_clip's are; and what identifies each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ...store import digest
from ...store.errors import BadSource
from . import hub
from .model_files import first_line

if TYPE_CHECKING:
    from torch import Tensor

VOCABULARIES = ("tokenizer.json", "vocab.json", "spiece.model", "tokenizer.model", "vocab.txt")
"""Files of which a folder with a tokenizer has one."""


@dataclass(frozen=True, slots=True, eq=False)
class Tokenizer:
    """A tokenizer that gives a tensor of tokens, all texts padded to one length."""

    own: Any
    """The tokenizer of transformers."""
    context_length: int
    """The most tokens of a text, those at its ends included."""

    @classmethod
    def of(cls, folder: Path, length: int, source: str) -> Tokenizer:
        """Load the tokenizer in a folder; `BadSource` where transformers cannot."""
        from transformers import AutoTokenizer

        hub.quiet()
        try:
            own = AutoTokenizer.from_pretrained(folder)
        except Exception as error:  # whatever transformers raises for files that are not there
            raise BadSource(f"the tokenizer of {source} cannot be loaded: {first_line(error)}") from error
        return cls(own, length or int(own.model_max_length))

    @property
    def vocabulary(self) -> str:
        """The digest of all that turns a text to tokens."""
        return vocabulary(self.own)

    def __call__(self, texts: Sequence[str], context_length: int | None = None) -> Tensor:
        """Give the tokens of texts, "text token"."""
        length = context_length or self.context_length
        found = self.own(
            list(texts), max_length=length, padding="max_length", truncation=True, return_tensors="pt"
        )
        return cast("Tensor", found["input_ids"])


def vocabulary(tokenizer: Any) -> str:
    """Give the digest of all that turns a text to tokens, by a tokenizer of open_clip or of transformers."""
    if isinstance(tokenizer, Tokenizer):
        return tokenizer.vocabulary
    inner = getattr(tokenizer, "tokenizer", tokenizer)  # what open_clip has of transformers
    backend = getattr(inner, "backend_tokenizer", None)
    if backend is not None:
        fresh = type(backend).from_str(backend.to_str())  # how the last texts were cut and filled up is in it
        fresh.no_padding()
        fresh.no_truncation()
        return digest.of_bytes(fresh.to_str().encode())
    known = inner.get_vocab() if hasattr(inner, "get_vocab") else inner.encoder
    return digest.of_facts({"vocabulary": sorted(known.items())})


def taken(given: Any, text_config: Any) -> Any:
    """Take a tokenizer that comes with a module, called as open_clip's are.

    One of open_clip's is one; one of transformers' is put into a `Tokenizer`, with the length that the
    configuration of the model's text side says. `BadSource` for any other: nothing identifies its vocabulary.
    """
    inner = getattr(given, "tokenizer", given)
    if hasattr(inner, "get_vocab") and getattr(inner, "backend_tokenizer", None) is None:
        raise BadSource(
            f"nothing identifies what the code of a {type(given).__name__} does, which has no backend: give "
            "the fast one of transformers"
        )
    if not any(hasattr(inner, name) for name in ("backend_tokenizer", "encoder", "get_vocab")):
        raise BadSource(
            f"tokenizer={given!r} is neither one of open_clip's (open_clip.get_tokenizer) nor of "
            "transformers': nothing identifies its vocabulary"
        )
    if hasattr(given, "context_length"):
        return given
    if getattr(given, "padding_side", "right") != "right":
        raise BadSource(
            "the tokenizer fills texts up on their left, which shifts all of them, as nothing is masked: set "
            'tokenizer.padding_side = "right"'
        )
    length = int(getattr(text_config, "max_position_embeddings", 0)) or int(given.model_max_length)
    return Tokenizer(given, length)


def teach(net: Any) -> None:
    """Let a model of transformers embed as open_clip's do; what pads a text follows its end."""
    net.encode_text = partial(_encode_text, net)
    net.encode_image = partial(_encode_image, net)


def _encode_image(net: Any, pixels: Tensor) -> Tensor:
    return cast("Tensor", net.get_image_features(pixel_values=pixels).pooler_output)


def _encode_text(net: Any, tokens: Tensor) -> Tensor:
    return cast("Tensor", net.get_text_features(input_ids=tokens).pooler_output)
