"""What a language model is asked, what it answers, and what every one of them can be relied on for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ...store import digest


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: str
    """`system`, `user` or `assistant`."""
    content: str
    """What is said."""

    def facts(self) -> dict[str, str]:
        """Give the turn as providers take it."""
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a reply is drawn."""

    temperature: float = 0.3
    """0 for the likeliest reply; above it, one drawn by `Request.noise`."""
    max_tokens: int = 40
    """The most tokens of a reply."""
    seed: int = 0
    """Another seed draws other replies."""
    epoch: int = 0
    """Raised by one to have replies drawn anew that are there already."""

    def facts(self) -> dict[str, float | int]:
        """Give the settings as plain values."""
        return {
            "temperature": float(self.temperature),
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            "epoch": self.epoch,
        }


@dataclass(frozen=True, slots=True)
class Request:
    """All that decides a reply, the model aside; it can be asked again from its facts alone."""

    messages: tuple[Message, ...]
    """The conversation so far."""
    task: str
    """The prompt that made it, such as `summarise`."""
    captions: tuple[str, ...]
    """The captions that it is about, best exemplar first, whatever their order in the messages."""
    language: str
    """Code of the language in which a label is wanted."""
    sampling: Sampling = field(default_factory=Sampling)
    """How the reply is drawn."""
    sample: int = 0
    """Which of several replies to the same question, from 0."""
    strict: bool = False
    """Whether it asks a second time, in stricter words."""
    prompt: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """Name, version and digest of the prompt; where the words come from, and no part of the identity."""

    def facts(self) -> dict[str, Any]:
        """Give what identifies the request, as plain values."""
        return {
            "messages": [message.facts() for message in self.messages],
            "task": self.task,
            "captions": list(self.captions),
            "language": self.language,
            "sampling": self.sampling.facts(),
            "sample": self.sample,
            "strict": self.strict,
        }

    @property
    def digest(self) -> str:
        """The request's identity: the digest of its facts, 64 hexadecimal digits."""
        return digest.of_facts(self.facts())

    @property
    def noise(self) -> int:
        """The seed by which the reply is drawn: 31 bits of the digest, as every server takes them."""
        return int(self.digest[:16], 16) & 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class Reply:
    """What a language model answered to one request."""

    text: str
    """The words, as they came."""
    finish_reason: str = "stop"
    """Why it ended: `stop`, `length` where it was cut off, `content_filter` or `refusal`."""
    tokens_in: int | None = None
    """Tokens of the request as the provider counted them; None where it did not."""
    tokens_out: int | None = None
    """Tokens of the reply as the provider counted them; None where it did not."""
    raw: Mapping[str, Any] = field(default_factory=dict)
    """What else the provider said, as plain values: the model that answered, its fingerprint."""

    def facts(self) -> dict[str, Any]:
        """Give the reply as plain values."""
        return {
            "text": self.text,
            "finish_reason": self.finish_reason,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "raw": dict(self.raw),
        }


def reply_of(facts: Mapping[str, Any]) -> Reply:
    """Read a reply from its facts; `KeyError` or `TypeError` where they are not those of one."""
    return Reply(
        str(facts["text"]),
        str(facts["finish_reason"]),
        facts["tokens_in"],
        facts["tokens_out"],
        dict(facts["raw"]),
    )


@dataclass(frozen=True, slots=True)
class Terms:
    """What asking a language model takes."""

    metered: bool
    """Whether calls count: against a budget, and as worth keeping. Rules and recorded replies are not."""
    billed: bool
    """Whether tokens cost money."""
    width: int = 1
    """How many requests may be under way at once."""


class LanguageModel(Protocol):
    """A provider of replies. It keeps nothing, and knows nothing of a store."""

    @property
    def name(self) -> str:
        """The model's name, as a table of prices has it."""

    @property
    def terms(self) -> Terms:
        """What asking it takes."""

    def check(self) -> None:
        """Raise where it cannot be asked at all, before it is: `BadKey` without a key."""

    def facts(self) -> dict[str, Any]:
        """Give what identifies it: digests, or a provider and a name; never a path, never a key."""

    def tokens(self, request: Request) -> int:
        """Estimate the tokens of a request, by its own tokenizer where it has one."""

    def complete(self, request: Request) -> Reply:
        """Answer a request, in one attempt.

        Raises `retrying.Passing` for what may be better the next time, `RequestRejected` or `BadKey` for what
        will not, and `NotRecorded` where replies are replayed and this one is missing.
        """


def estimated(request: Request) -> int:
    """Estimate the tokens of a request without a tokenizer: a quarter of its bytes, 4 for each turn.

    Bytes, since a character of Chinese or Thai is about a token and has three of them.
    """
    spoken = sum(len(message.content.encode()) for message in request.messages)
    return -(-spoken // 4) + 4 * len(request.messages) + 3
