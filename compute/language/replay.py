"""Replies from a file of recorded ones, and the recording of such a file."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from ...store import digest
from ...store.errors import BadSource, NotRecorded
from .messages import LanguageModel, Reply, Request, Terms, estimated, reply_of


def read(path: Path) -> dict[str, Reply]:
    """Read recorded replies, each by the digest of its request.

    A last line that was not written to its end is no reply; asking for it says so.

    Raises:
        BadSource: There is no such file, a line is no recorded reply, or two differ for one request.
    """
    found: dict[str, Reply] = {}
    for number, line in enumerate(_lines(path), 1):
        try:
            entry = json.loads(line)
            key, reply = str(entry["request"]), reply_of(entry["reply"])
        except (ValueError, KeyError, TypeError) as error:
            raise BadSource(
                f"line {number} of {path.name} is no recorded reply ({error!r}); each line is a JSON object "
                "with `request`, a digest, and `reply`"
            ) from error
        if found.setdefault(key, reply) != reply:
            raise BadSource(f"line {number} of {path.name} has another reply to {key} than a line before")
    return found


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise BadSource(f"no recorded replies can be read from {path}: {error}") from error
    whole = text[: text.rfind("\n") + 1]
    return [line for line in whole.split("\n") if line.strip()]


class Replay:
    """Answers with recorded replies only."""

    name = "replay"
    terms = Terms(metered=False, billed=False)

    def __init__(self, path: Path) -> None:
        """Read the file; `BadSource` where it cannot be."""
        self._place, self._replies = path.name, read(path)

    def check(self) -> None:
        """Nothing more is needed."""

    def facts(self) -> dict[str, Any]:
        """Give the digest of the recorded replies; where they lie and in which order is no part of it."""
        replies = {key: reply.facts() for key, reply in self._replies.items()}
        return {"kind": "replay", "replies": digest.of_facts(replies)}

    def tokens(self, request: Request) -> int:
        """Estimate the tokens of a request."""
        return estimated(request)

    def complete(self, request: Request) -> Reply:
        """Give the recorded reply; `NotRecorded` names the request's digest where there is none."""
        if request.digest not in self._replies:
            raise NotRecorded(request.digest, self._place, len(self._replies))
        return self._replies[request.digest]


class Recorder:
    """Another language model, each of whose replies is added to a file that `replay:FILE` reads."""

    def __init__(self, model: LanguageModel, path: Path) -> None:
        """Go on with a file that may be there; `BadSource` where it holds something else."""
        self._model, self._path = model, path
        self._known = set(read(path)) if path.exists() else set[str]()
        if path.exists():
            _mend(path)
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    @property
    def terms(self) -> Terms:
        """The model's terms."""
        return self._model.terms

    def check(self) -> None:
        """Ask the model whether it can be asked."""
        self._model.check()

    def facts(self) -> dict[str, Any]:
        """Give what identifies the model: recording changes nothing."""
        return self._model.facts()

    def tokens(self, request: Request) -> int:
        """Let the model estimate the tokens of a request."""
        return self._model.tokens(request)

    def complete(self, request: Request) -> Reply:
        """Let the model answer, and add a line where this request has none: first reply, first kept."""
        reply = self._model.complete(request)
        line = {"request": request.digest, "reply": reply.facts(), "asked": request.facts()}
        written = json.dumps({**line, "model": self.facts()}, ensure_ascii=False, sort_keys=True)
        with self._lock:
            if request.digest not in self._known:
                with self._path.open("ab") as file:
                    file.write(f"{written}\n".encode())
                self._known.add(request.digest)
        return reply


def _mend(path: Path) -> None:
    """Take away a last line that was not written to its end."""
    with path.open("rb+") as file:
        file.truncate(file.read().rfind(b"\n") + 1)
