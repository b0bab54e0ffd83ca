"""A request is all that decides a reply, and prompts are data that can be told apart."""

from __future__ import annotations

import string
import subprocess
import sys

import pytest

from belvedere.compute.language import KINDS, find, languages, prompts
from belvedere.compute.language.messages import Message, Reply, Request, Sampling, estimated, reply_of
from belvedere.store import digest
from belvedere.store.errors import UnknownName

CAPTIONS = ["a red star", "red stars {on} grass"]


def asked(name: str = "summarise", language: str = "en", *, seed: int = 0, sample: int = 0) -> Request:
    return prompts.find(name).request(CAPTIONS, language, Sampling(seed=seed), sample=sample)


def test_a_request_can_be_made_again_from_its_facts() -> None:
    request, facts = asked(), asked().facts()
    again = Request(
        tuple(Message(**each) for each in facts["messages"]),
        facts["task"],
        tuple(facts["captions"]),
        facts["language"],
        Sampling(**facts["sampling"]),
        facts["sample"],
        facts["strict"],
    )
    assert again == request
    assert again.digest == request.digest == digest.of_facts(facts)


def test_whatever_decides_a_reply_changes_the_digest() -> None:
    prompt = prompts.find("summarise")
    others = [
        asked(),
        asked(seed=1),
        asked(sample=1),
        asked(language="de"),
        asked("summarise_worked"),
        prompt.request(CAPTIONS[::-1], "en", Sampling()),
        prompt.request(CAPTIONS, "en", Sampling(), shown=CAPTIONS[::-1]),
        prompt.request(CAPTIONS, "en", Sampling(), strict=True),
        prompt.request(CAPTIONS, "en", Sampling(temperature=0.4)),
        prompt.request(CAPTIONS, "en", Sampling(max_tokens=41)),
        prompt.request(CAPTIONS, "en", Sampling(epoch=1)),
    ]
    assert len({each.digest for each in others}) == len({each.noise for each in others}) == len(others)
    assert all(0 <= each.noise < 2**31 for each in others)


def test_equal_settings_have_equal_digests_whatever_their_types() -> None:
    prompt = prompts.find("summarise")
    whole, point = (prompt.request(CAPTIONS, "en", Sampling(temperature=heat)) for heat in (0, 0.0))
    assert whole.digest == point.digest


@pytest.mark.parametrize("name", ["summarise", "summarise_texts", "summarise_worked", "simplify", "merge"])
def test_prompts_tell_the_captions_and_the_language(name: str) -> None:
    prompt = prompts.find(name)
    last = prompt.request(CAPTIONS, "de", Sampling(), strict=True).messages[-1]
    assert last.role == "user"
    assert all(caption in last.content for caption in CAPTIONS)
    assert name == "simplify" or "German" in last.content
    assert last.content.endswith(prompt.strict.format(language="German"))
    fields = {field for _, field, _, _ in string.Formatter().parse(prompt.turns[-1].content) if field}
    assert fields <= {"language", "captions"}


def test_prompts_alternate_between_two_speakers_as_chat_templates_want_it() -> None:
    for prompt in prompts.known().values():
        roles = [turn.role for turn in prompt.turns]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]


def test_a_prompt_is_known_by_name_version_and_digest() -> None:
    request = asked(language="de")
    prompt = prompts.find("summarise")
    assert request.prompt == {"name": "summarise", "version": 1, "sha256": prompt.sha256, "language": "de"}
    assert len({each.sha256 for each in prompts.known().values()}) == len(prompts.known()) == 5
    assert prompt.sha256 == digest.of_facts(prompt.facts())


def test_the_worked_examples_do_not_change_with_the_captions() -> None:
    whole = prompts.find("summarise_worked")
    assert asked("summarise_worked").messages[:-1] == whole.turns[:-1]
    assert not any("{" in turn.content for turn in whole.turns[:-1])


def test_a_reply_is_read_back_from_its_facts() -> None:
    reply = Reply("red stars", "length", 10, None, {"model": "small-2026"})
    assert reply_of(reply.facts()) == reply


def test_tokens_are_estimated_from_bytes() -> None:
    def tokens(text: str) -> int:
        return estimated(Request((Message("user", text),), "summarise", (), "en"))

    assert [tokens(""), tokens("x" * 40), tokens("x" * 41), tokens("星" * 40)] == [7, 17, 18, 37]


def test_finding_a_model_loads_no_heavy_library() -> None:
    code = (
        "import sys; from belvedere.compute.language import find, candidates, forecasting; "
        "[find(each, environ={}) for each in ('rules', 'openai:small', 'hf:folder')]; "
        "print(sorted({'torch', 'transformers', 'httpx2', 'duckdb', 'zarr'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_sources_and_prompts_that_are_not_known_are_refused() -> None:
    for source in ("gpt-4", "rules:x", "replay:", "ollama:x", ""):
        with pytest.raises(UnknownName, match="no language model"):
            find(source)
    with pytest.raises(UnknownName, match=r"no prompt 'sumarise'; did you mean 'summarise'\?"):
        prompts.find("sumarise")
    assert [kind.partition(":")[0] for kind in KINDS] == ["openai", "hf", "rules", "replay"]
    assert languages.find("ja").name == "Japanese"
