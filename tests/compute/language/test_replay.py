"""Recorded replies answer for the model that gave them, and nothing else does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from belvedere.compute.language import find, prompts
from belvedere.compute.language.messages import Reply, Request, Sampling
from belvedere.compute.language.openai_http import OpenAI
from belvedere.compute.language.replay import Recorder
from belvedere.compute.language.rules import Rules
from belvedere.store.errors import BadSource, NotRecorded
from tests.chat_server import KEY, serving, words


def question(sample: int = 0) -> Request:
    captions = ["a red star", "two red stars on grass", "a red ring"]
    return prompts.find("summarise").request(captions, "en", Sampling(), sample=sample)


def recorded(path: Path, samples: int = 3) -> list[Reply]:
    recorder = Recorder(Rules(), path)
    return [recorder.complete(question(sample)) for sample in range(samples)]


def test_recorded_replies_come_back(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    replies = recorded(path)
    replay = find(f"replay:{path}")
    assert [replay.complete(question(sample)) for sample in (2, 1, 0)] == replies[::-1]


def test_a_reply_that_was_not_recorded_is_an_error_that_names_its_request(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    recorded(path)
    with pytest.raises(NotRecorded) as told:
        find(f"replay:{path}").complete(question(3))
    assert str(told.value) == (
        f"replies.jsonl has no reply to the request {question(3).digest} among the 3 that it holds; record "
        "it from the model that is to answer, with the same prompts, captions and settings"
    )
    assert told.value.digest == question(3).digest
    assert isinstance(told.value, LookupError)


def test_a_line_holds_the_request_whole_and_no_key(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    with serving(lambda body, number: words("red")) as server:
        recorder = Recorder(OpenAI("small", server.environ), path)
        reply = recorder.complete(question())
    (line,) = path.read_text().splitlines()
    assert json.loads(line) == {
        "request": question().digest,
        "asked": question().facts(),
        "reply": reply.facts(),
        "model": {"kind": "openai", "host": "127.0.0.1", "model": "small"},
    }
    assert KEY not in line


def test_a_recorder_is_the_model_itself(tmp_path: Path) -> None:
    model = OpenAI("small", {"OPENAI_API_KEY": KEY})
    recorder = Recorder(model, tmp_path / "replies.jsonl")
    recorder.check()
    assert (recorder.name, recorder.terms, recorder.facts()) == ("small", model.terms, model.facts())
    assert recorder.tokens(question()) == model.tokens(question())


def test_a_recording_goes_on_where_one_broke_off(tmp_path: Path) -> None:
    path, whole = tmp_path / "replies.jsonl", tmp_path / "whole.jsonl"
    recorded(whole, 4)
    recorded(path, 2)
    with path.open("a") as file:
        file.write('{"request": "broken o')
    with pytest.raises(NotRecorded):
        find(f"replay:{path}").complete(question(2))
    recorded(path, 4)
    assert path.read_text() == whole.read_text()


def test_a_recording_is_identified_by_its_replies(tmp_path: Path) -> None:
    path, other, less = (tmp_path / name for name in ("replies.jsonl", "other.jsonl", "less.jsonl"))
    recorded(path)
    recorded(less, 2)
    other.write_text("\n".join(reversed(path.read_text().splitlines())) + "\n\n")
    facts = find(f"replay:{path}").facts()
    assert find(f"replay:{other}").facts() == facts
    assert find(f"replay:{less}").facts() != facts


BROKEN = {
    "not json\n": r"line 1 of replies.jsonl is no recorded reply \(JSONDecodeError",
    '{"request": "a"}\n': r"line 1 of replies.jsonl is no recorded reply \(KeyError\('reply'\)\)",
    "[]\n": r"line 1 of replies.jsonl is no recorded reply \(TypeError",
}


@pytest.mark.parametrize(("text", "message"), BROKEN.items())
def test_a_file_that_is_no_recording_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "replies.jsonl"
    path.write_text(text)
    with pytest.raises(BadSource, match=message):
        find(f"replay:{path}")
    with pytest.raises(BadSource, match=r"no recorded replies can be read from"):
        find(f"replay:{tmp_path / 'none.jsonl'}")


def test_two_replies_to_one_request_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    recorded(path, 1)
    line = json.loads(path.read_text())
    line["reply"]["text"] = "another"
    path.write_text(path.read_text() * 2)
    find(f"replay:{path}")
    path.write_text(path.read_text() + json.dumps(line) + "\n")
    with pytest.raises(BadSource, match=r"line 3 of replies.jsonl has another reply to"):
        find(f"replay:{path}")
