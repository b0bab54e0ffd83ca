"""Labels without a language model: what the captions share by count, the same on every machine."""

from __future__ import annotations

from typing import Any

from ...store.errors import RequestRejected
from . import ngrams
from .cleaning import cleaned
from .messages import Reply, Request, Terms, estimated

LONGEST = 8
"""The most words of a shortened caption."""


class Rules:
    """Answers by `ngrams.labels`: of several samples, each is the next best label.

    It reads a request's captions, in the order of their exemplars, and not its words; it knows English only.
    """

    name = "rules"
    terms = Terms(metered=False, billed=False)

    def check(self) -> None:
        """Nothing is needed."""

    def facts(self) -> dict[str, Any]:
        """Give the version of the rules."""
        return {"kind": "rules", "version": ngrams.VERSION}

    def tokens(self, request: Request) -> int:
        """Estimate the tokens of a request."""
        return estimated(request)

    def complete(self, request: Request) -> Reply:
        """Answer with a label, or with a caption's telling words where it is to be shortened.

        Where there are fewer labels than samples they come round again. A caption without one telling word is
        shortened to what it is, and captions without any give no label.

        Raises:
            RequestRejected: The label is wanted in another language than English.
        """
        if request.language != "en":
            raise RequestRejected(
                self.name, None, f"they know English only, and the label is wanted in {request.language!r}"
            )
        captions = [cleaned(caption) for caption in request.captions]
        if request.task == "simplify":
            words = ngrams.content(" ".join(captions))
            return Reply(" ".join(words[:LONGEST]) or " ".join(request.captions))
        found = ngrams.labels(captions, request.sample + 1) or [""]
        return Reply(found[request.sample % len(found)])
