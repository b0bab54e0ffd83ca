"""Candidate labels of one neuron, from the captions of its exemplars.

As in Describe-and-Dissect (Bai et al. 2024): a language model summarises the captions several times, in
several orders. Here the orders depend on the captions alone, each reply is judged before it counts, and equal
labels are one candidate; so labels change neither with the other neurons nor with what was asked before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal, Protocol

from ...store import digest
from . import languages, prompts, replies
from .asking import Asker
from .cleaning import cleaned
from .messages import Reply, Request, reply_of
from .prompts import Prompt
from .replies import Status, Verdict
from .settings import PRESETS, Settings

KIND = "reply"
"""The kind under which replies are kept."""
VERSION = 1
"""Raised when equal requests would be sent otherwise; candidates follow from it."""
LISTED = 40
"""The most words of a list of labels that the model is asked to merge."""
_DRAWN = ("design", "designs", "graphic", "graphics")


class Memo(Protocol):
    """What is kept by its cause, from whatever thread it comes."""

    def get(self, kind: str, cause: dict[str, Any]) -> dict[str, Any] | None:
        """Give what was put under this cause; None where nothing was."""

    def put(self, kind: str, cause: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
        """Keep a value under its cause, at once; give what is kept, which is the first that was put."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one question to a language model, a second asking in stricter words included."""

    verdict: Verdict
    """The label, or why there is none."""
    request: Request
    """The request that decided."""
    reply: Reply
    """The reply to it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One of the summaries."""

    status: Status
    """`ok`, `refused` or `malformed`."""
    text: str
    """The label as it is compared and written; empty unless `ok`."""
    said: str
    """The reply that decided, as it came."""
    reason: str
    """Why there is no label; empty where there is one."""
    request: str
    """The digest of the request that decided."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The candidate labels of one neuron, and where they are from."""

    texts: tuple[str, ...]
    """The labels, each once, in alphabetical order whatever their case; empty where there is none."""
    samples: tuple[Sample, ...]
    """The summaries, in the order of their numbers."""
    captions: tuple[str, ...]
    """The captions that were summarised, cleaned and shortened as the settings ask."""
    origins: Mapping[str, tuple[int, ...]]
    """For each label, the numbers of the summaries that gave it."""

    @property
    def statuses(self) -> tuple[Status, ...]:
        """What became of each summary."""
        return tuple(sample.status for sample in self.samples)

    @property
    def requests(self) -> tuple[str, ...]:
        """The digest of the request that decided each summary."""
        return tuple(sample.request for sample in self.samples)

    @property
    def status(self) -> Literal["ok", "partial", "refused", "malformed", "empty"]:
        """What became of all: `partial` where some gave a label, `empty` where no caption had a word."""
        if not self.samples:
            return "empty"
        if not self.texts:
            return "refused" if "refused" in self.statuses else "malformed"
        return "ok" if set(self.statuses) == {"ok"} else "partial"


def candidates(
    captions: Sequence[str],
    ask: Asker,
    *,
    settings: Settings = PRESETS["default"],
    memo: Memo | None = None,
) -> Candidates:
    """Find the candidate labels of one neuron.

    Args:
        captions: Those of its exemplars, best first; blank ones are left out.
        ask: The language model, with its budget.
        settings: What is done; one of `PRESETS`, or another.
        memo: Where usable replies are kept, the moment they are there, and looked up before one is asked for.

    Raises:
        RequestFailed: A request failed at every attempt; the replies to the others are in `memo`.
        ProviderDown: Request after request did.
        BudgetSpent: The next call could take more than is left.
        RequestRejected: The provider will not answer.
    """
    chain = Chain(ask, settings, memo)
    shown = told(captions, settings)
    if settings.simplify:
        shown = chain.simplified(shown)
    if not shown:
        return Candidates((), (), (), {})
    answers = ask.each(lambda number: chain.summary(shown, number), range(settings.samples))
    samples = tuple(map(_sample, answers, [settings] * len(answers)))
    origins = _origins(samples, settings)
    return Candidates(tuple(sorted(origins, key=replies.normalised)), samples, tuple(shown), origins)


def version() -> dict[str, int]:
    """Give the version of replies; nothing for the first, so that replies count that were paid for before."""
    return {} if VERSION == 1 else {"version": VERSION}


def told(captions: Sequence[str], settings: Settings) -> list[str]:
    """Give the captions that a language model is told of: with words in them, and clean if so asked. Pure."""
    found = (cleaned(caption) if settings.clean else caption.strip() for caption in captions)
    return [caption for caption in found if caption]


class Chain:
    """The questions that are asked about the captions of one neuron."""

    def __init__(self, ask: Asker, settings: Settings, memo: Memo | None) -> None:
        self._ask, self._settings = ask, settings
        self._memo = memo if ask.model.terms.metered else None

    def simplified(self, captions: Sequence[str]) -> list[str]:
        """Shorten captions, equal ones once; one of which no usable phrase comes stays as it is."""
        each = list(dict.fromkeys(captions))
        answers = self._ask.each(lambda caption: self._asked(self.both("simplify", [caption])), each)
        phrase = {
            caption: answer.verdict.text if answer.verdict.status == "ok" else caption
            for caption, answer in zip(each, answers, strict=True)
        }
        return [phrase[caption] for caption in captions]

    def summary(self, captions: Sequence[str], number: int) -> Answer:
        """Summarise captions, in the order that belongs to this number."""
        answer = self._asked(self.both(self._settings.summary_prompt, captions, number))
        parts = self.listed(answer)
        return self._asked(self.both("merge", parts, number)) if parts else answer

    def listed(self, answer: Answer) -> tuple[str, ...]:
        """Give the entries of a list that is to be merged; none where there is no such list."""
        parts = replies.pieces(answer.verdict.text)
        return parts if self._settings.comma == "merge" and len(parts) > 1 else ()

    def both(self, task: str, captions: Sequence[str], number: int = 0) -> tuple[Request, Request]:
        """Give the two requests about captions: the first, and the one in stricter words."""
        settings = self._settings
        told_in = captions
        if task == settings.summary_prompt and not (settings.ranked_first and number == 0):
            told_in = shuffled(captions, settings.sampling.seed, number)
        first, second = (
            prompts.find(task).request(
                captions, settings.language, settings.sampling, shown=told_in, sample=number, strict=strict
            )
            for strict in (False, True)
        )
        return first, second

    def kept(self, both: tuple[Request, Request]) -> Answer | None:
        """Give a usable reply that is kept, to either of two requests; None where there is none.

        Where the one to the second is kept, the first was asked before, to no use.
        """
        for request in both:
            found = self._memo.get(KIND, self._cause(request)) if self._memo else None
            answer = None if found is None else self._judged(request, reply_of(found))
            if answer is not None and answer.verdict.status == "ok":
                return answer
        return None

    def _asked(self, both: tuple[Request, Request]) -> Answer:
        """Take what is kept, else ask, and where the reply is of no use once more in stricter words."""
        with self._ask.alone(both[0].digest):
            kept = self.kept(both)
            if kept is not None:
                return kept
            answer = self._answer(both[0])
            return answer if answer.verdict.status == "ok" else self._answer(both[1])

    def _answer(self, request: Request) -> Answer:
        """Ask a request, and keep the reply at once if it is usable; one that was kept meanwhile counts."""
        answer = self._judged(request, self._ask(request))
        if self._memo and answer.verdict.status == "ok":
            value = {**answer.reply.facts(), "prompt": dict(request.prompt)}
            stood = self._memo.put(KIND, self._cause(request), value)
            standing = self._judged(request, reply_of(stood))
            return standing if standing.verdict.status == "ok" else answer
        return answer

    def _cause(self, request: Request) -> dict[str, Any]:
        return {**version(), "model": self._ask.identity, "request": request.facts()}

    def _judged(self, request: Request, reply: Reply) -> Answer:
        prompt = prompts.find(request.task)
        taken = self._taken(prompt, reply)
        listed = self._listed(prompt) and len(replies.pieces(taken)) > 1
        verdict = replies.judged(
            reply,
            taken,
            captions=request.captions,
            language=languages.find("en" if prompt.name == "simplify" else request.language),
            words=LISTED if listed else prompt.words,
            copies=prompt.copies,
        )
        return Answer(verdict, request, reply)

    def _listed(self, prompt: Prompt) -> bool:
        """Tell whether a list is what the model may answer, since it is asked to merge it then."""
        return self._settings.comma == "merge" and prompt.name == self._settings.summary_prompt

    def _taken(self, prompt: Prompt, reply: Reply) -> str:
        said = replies.said(reply)
        if prompt.name == "simplify":
            return said
        text = replies.between_colons(said) if self._settings.colon == "between" else replies.plain(said)
        return replies.first(text) if self._settings.comma == "first" else text


def shuffled(captions: Sequence[str], seed: int, number: int) -> list[str]:
    """Give captions in an order that depends on them, the seed and the number, and on nothing else. Pure.

    Not on their own order either: the same captions of two neurons are told in the same orders.
    """
    content = digest.of_sequence(sorted(captions))
    seen: dict[str, count[int]] = {}
    keyed = [
        (digest.of_facts([seed, content, number, each, next(seen.setdefault(each, count()))]), each)
        for each in captions
    ]
    return [caption for _, caption in sorted(keyed)]


def _sample(answer: Answer, settings: Settings) -> Sample:
    verdict = answer.verdict
    text = replies.label(verdict.text, languages.find(settings.language))
    return Sample(verdict.status, text, answer.reply.text, verdict.reason, answer.request.digest)


def _origins(samples: Iterable[Sample], settings: Settings) -> dict[str, tuple[int, ...]]:
    """Collect which summaries gave which label; of labels that differ in case alone, the first by letters."""
    found: dict[str, list[tuple[str, int]]] = {}
    for number, sample in enumerate(samples):
        if sample.status == "ok":
            for text in _variants(sample.text, settings):
                found.setdefault(replies.normalised(text), []).append((text, number))
    return {min(text for text, _ in each): tuple(number for _, number in each) for each in found.values()}


def _variants(text: str, settings: Settings) -> tuple[str, ...]:
    drawn = settings.background and text.split()[-1].lower() in _DRAWN
    return (text, f"{text} background") if drawn else (text,)
