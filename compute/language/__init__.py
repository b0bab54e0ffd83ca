"""Language models that put captions into words: one file a provider; the beginning of a source says which."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ...store.errors import UnknownName
from .messages import LanguageModel

KINDS = ("openai:MODEL", "hf:FOLDER_OR_REPOSITORY", "rules", "replay:FILE")
"""The sources that are known."""


def find(source: str, *, environ: Mapping[str, str] | None = None, device: str = "cpu") -> LanguageModel:
    """Find a language model by its source; nothing is sent, and no weights are read.

    Args:
        source: `openai:gpt-4o-mini` at OPENAI_BASE_URL, with the key in OPENAI_API_KEY; `hf:` and a folder
            or repository of a chat model; `rules`, which needs no model; `replay:` and a file of recorded
            replies.
        environ: Where an endpoint and its key are looked up; the process's environment by default.
        device: Where a model of transformers runs.

    Raises:
        UnknownName: There is no such kind.
        BadSource: The endpoint is no address, or the file is none of replies.
    """
    kind, _, rest = source.partition(":")
    if kind == "openai":
        from .openai_http import OpenAI

        return OpenAI(rest, os.environ if environ is None else environ)
    if kind == "hf":
        from .local_chat import LocalChat

        return LocalChat(rest, device)
    if kind == "replay" and rest:
        from .replay import Replay

        return Replay(Path(rest))
    if source == "rules":
        from .rules import Rules

        return Rules()
    raise UnknownName("language model", source, KINDS)
