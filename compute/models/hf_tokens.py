"""Tokenizers of transformers, called as open_clip's are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
        backend = getattr(self.own, "backend_tokenizer", None)
        if backend is not None:
            return digest.of_bytes(backend.to_str().encode())
        return digest.of_facts({"vocabulary": sorted(self.own.get_vocab().items())})

    def __call__(self, texts: Sequence[str], context_length: int | None = None) -> Tensor:
        """Give the tokens of texts, "text token"."""
        length = context_length or self.context_length
        found = self.own(
            list(texts), max_length=length, padding="max_length", truncation=True, return_tensors="pt"
        )
        return cast("Tensor", found["input_ids"])
