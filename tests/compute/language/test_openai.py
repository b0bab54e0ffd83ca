"""An endpoint is asked again where that helps, errors come at once where not, and its key is never shown."""

from __future__ import annotations

import json
import logging
import socket
import threading
from email.utils import formatdate
from time import time

import pytest

from belvedere.compute.language import find, prompts
from belvedere.compute.language.asking import Asker
from belvedere.compute.language.messages import Reply, Request, Sampling
from belvedere.compute.language.openai_http import OpenAI
from belvedere.compute.language.retrying import Policy
from belvedere.store.errors import (
    BadKey,
    BadSource,
    BelvedereError,
    ProviderDown,
    RequestFailed,
    RequestRejected,
)
from tests.chat_server import KEY, ChatServer, Said, error, serving, words


def question(sample: int = 0) -> Request:
    return prompts.find("summarise").request(["a red star", "red stars"], "en", Sampling(), sample=sample)


def asker(server: ChatServer, waits: list[float], *, slow: float = 5.0, **policy: int) -> Asker:
    model = OpenAI("small", server.environ, slow=slow)
    return Asker(model, policy=Policy(pause=waits.append, **policy))


def test_a_request_says_all_that_decides_its_reply() -> None:
    with serving(lambda body, number: words("red stars")) as server:
        reply = find("openai:small", environ=server.environ).complete(question())
    assert reply == Reply("red stars", "stop", 100, 7, {"model": "small-2026"})
    assert server.asked == [
        {
            "model": "small",
            "messages": [message.facts() for message in question().messages],
            "temperature": 0.3,
            "max_tokens": 40,
            "seed": question().noise,
        }
    ]
    assert server.keys == {f"Bearer {KEY}"}


FAILURES = {
    "429": error(429, "too many"),
    "500": error(500, "oh"),
    "503 in HTML": Said(503, b"<html>busy</html>"),
    "408": error(408, "late"),
    "an error with 200": error(500, "overloaded", seen=200),
    "an error in words with 200": Said(body=b'{"error": "overloaded"}'),
    "nothing with 200": Said(),
    "empty words": words(""),
    "no words": words(None),
    "blank words": words("  \n"),
    "no choice": Said(body=b'{"choices": []}'),
    "malformed JSON": Said(body=b'{"choices": [{"mess'),
    "no object": Said(body=b'"red stars"'),
    "a choice that is none": Said(body=b'{"choices": [7]}'),
    "no JSON": Said(body=b"red stars"),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_what_may_pass_is_asked_again_and_never_given_out(failure: Said) -> None:
    waits: list[float] = []
    with serving(lambda body, number: failure if number < 2 else words("red stars")) as server:
        assert asker(server, waits)(question()).text == "red stars"
    assert server.calls == 3
    assert server.asked[0] == server.asked[2]
    assert len(waits) == 2
    assert 1 <= waits[0] <= 2 <= waits[1] <= 3


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_a_request_that_fails_at_every_attempt_is_an_error(failure: Said) -> None:
    with (
        serving(lambda body, number: failure) as server,
        pytest.raises(
            RequestFailed, match=r"^small did not answer a request in 3 attempts \(the last: "
        ) as told,
    ):
        asker(server, [], attempts=3)(question())
    assert server.calls == told.value.attempts == 3


def test_a_slow_answer_is_given_up_and_asked_for_again() -> None:
    with serving(lambda body, number: Said(slow=True) if number == 0 else words("red")) as server:
        ask = asker(server, [], slow=1.5)
        assert ask(question()).text == "red"
    assert server.calls == 2
    held = ask.budget.of(ask.model.tokens(question()) + 100, 40 + 7, 2)
    assert ask.spent == held, "what a slow answer cost is not known, so all that was held back counts"


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [("7", 7, 8), ("0", 0, 1), ("-3", 0, 1), ("a date", 100, 251), ("soon", 1, 2)],
)
def test_the_wait_that_is_asked_for_is_kept(header: str, least: float, most: float) -> None:
    if header == "a date":
        header = formatdate(time() + 250)
    waits: list[float] = []
    with serving(
        lambda body, number: error(429, "slower", retry_after=header) if number == 0 else words("red")
    ) as server:
        asker(server, waits)(question())
    assert least <= waits[0] <= most
    assert len(waits) == 1


def test_a_wait_that_is_too_long_ends_the_run() -> None:
    waits: list[float] = []
    with (
        serving(lambda body, number: error(429, "tomorrow", retry_after="3600")) as server,
        pytest.raises(ProviderDown, match=r"429: tomorrow, and it asks to wait 3,600 s"),
    ):
        asker(server, waits)(question())
    assert (server.calls, waits) == (1, [])


def test_waits_grow_up_to_a_cap() -> None:
    waits: list[float] = []
    with serving(lambda body, number: error(500, "oh")) as server, pytest.raises(RequestFailed):
        asker(server, waits, attempts=9, cap=20)(question())
    assert [int(wait) for wait in waits[:4]] == sorted(int(wait) for wait in waits[:4])
    assert all(wait <= 20 for wait in waits)
    assert waits[-2:] == [20, 20]


@pytest.mark.parametrize("status", [400, 404, 422, 301])
def test_what_will_not_pass_is_told_at_once(status: int) -> None:
    with (
        serving(lambda body, number: error(status, "no such model as small")) as server,
        pytest.raises(RequestRejected, match="no such model as small") as told,
    ):
        asker(server, [])(question())
    assert (server.calls, told.value.status) == (1, status)


def test_a_model_that_calls_the_length_of_a_reply_otherwise_is_asked_so() -> None:
    def script(body: dict[str, object], number: int) -> Said:
        if "max_tokens" in body:
            return error(400, "'max_tokens' is not supported, use 'max_completion_tokens'")
        return words("red")

    with serving(script) as server:
        ask = asker(server, [])
        assert [ask(question()).text, ask(question()).text] == ["red", "red"]
    assert ["max_completion_tokens" in body for body in server.asked] == [False, True, True]


def test_requests_that_were_under_way_meanwhile_are_sent_again_too() -> None:
    together = threading.Barrier(8)

    def script(body: dict[str, object], number: int) -> Said:
        if "max_tokens" not in body:
            return words("red")
        together.wait(20)
        return error(400, "'max_tokens' is not supported, use 'max_completion_tokens'")

    with serving(script) as server:
        ask = asker(server, [])
        replies = ask.each(ask, [question(sample) for sample in range(8)])
    assert [reply.text for reply in replies] == ["red"] * 8
    assert server.calls == 16


def test_a_status_in_an_answer_with_200_counts() -> None:
    with (
        serving(lambda body, number: error(404, "no model", seen=200)) as server,
        pytest.raises(RequestRejected),
    ):
        asker(server, [])(question())
    assert server.calls == 1


def test_money_that_is_used_up_ends_the_run() -> None:
    body = json.dumps({"error": {"code": "insufficient_quota", "message": "no credit"}}).encode()
    with serving(lambda *_: Said(429, body)) as server, pytest.raises(ProviderDown, match="no credit"):
        asker(server, [])(question())
    assert server.calls == 1


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("told", [KEY, "sk-proj-0******WXYZ", f"({KEY})", "WXYZ"])
def test_a_wrong_key_is_told_at_once_and_not_shown(
    status: int, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with (
        serving(lambda body, number: error(status, f"bad key {told} given")) as server,
        pytest.raises(
            BadKey, match=r"127.0.0.1 does not accept OPENAI_API_KEY for small \(40[13]: "
        ) as raised,
    ):
        asker(server, [])(question())
    assert server.calls == 1
    for text in (str(raised.value), repr(raised.value), caplog.text, repr(OpenAI("small", server.environ))):
        assert KEY not in text
        assert "WXYZ" not in text


def test_an_error_that_repeats_the_key_does_not_show_it() -> None:
    with (
        serving(lambda body, number: error(500, f"{KEY} overloaded")) as server,
        pytest.raises(RequestFailed) as e,
    ):
        asker(server, [], attempts=1)(question())
    assert "500: … overloaded" in str(e.value)


@pytest.mark.parametrize("key", ["", "  ", "sk-one\nsk-two", "sk-ä"])
def test_a_key_that_is_missing_or_none_is_told_before_anything_is_sent(key: str) -> None:
    with serving(lambda body, number: words("red")) as server:
        model = OpenAI("small", {**server.environ, "OPENAI_API_KEY": key})
        with pytest.raises(BadKey, match="OPENAI_API_KEY") as told:
            Asker(model)(question())
    assert server.calls == 0
    assert "two" not in str(told.value)


@pytest.mark.parametrize("url", ["nowhere", "ftp://host/v1", "http://", "http://[::1/v1"])
def test_an_endpoint_that_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(BadSource, match="OPENAI_BASE_URL"):
        find("openai:small", environ={"OPENAI_BASE_URL": url})
    with pytest.raises(BadSource, match="names no model"):
        find("openai:", environ={})


def test_a_model_is_identified_by_host_and_name_and_never_by_a_key() -> None:
    environ = {"OPENAI_API_KEY": KEY}
    assert OpenAI("small", environ).facts() == {"kind": "openai", "host": "api.openai.com", "model": "small"}
    other = {**environ, "OPENAI_BASE_URL": "https://me:secret@llm.example.org:8443/v1/"}
    assert OpenAI("small", other).facts() == {"kind": "openai", "host": "llm.example.org", "model": "small"}


def test_an_endpoint_that_is_not_there_counts_as_down_after_some_requests() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        environ = {"OPENAI_BASE_URL": f"http://127.0.0.1:{taken.getsockname()[1]}/v1", "OPENAI_API_KEY": KEY}
        waits: list[float] = []
        ask = Asker(OpenAI("small", environ), policy=Policy(attempts=2, failures=3, pause=waits.append))
        for _ in range(2):
            with pytest.raises(RequestFailed, match="ConnectError"):
                ask(question())
        with pytest.raises(ProviderDown, match="small is down: 3 requests failed in a row") as told:
            ask(question())
        assert isinstance(told.value, ConnectionError)
        assert len(waits) == 3
        with pytest.raises(ProviderDown):
            ask(question())
        assert len(waits) == 3, "a provider that is down is not asked any more"


def test_an_answer_in_between_means_that_a_provider_is_not_down() -> None:
    with serving(lambda body, number: words("red") if number % 3 == 2 else error(500, "oh")) as server:
        ask = asker(server, [], attempts=1, failures=3)
        for _ in range(4):
            for _ in range(2):
                with pytest.raises(RequestFailed):
                    ask(question())
            assert ask(question()).text == "red"


def test_several_requests_are_under_way_at_once_and_replies_keep_their_order() -> None:
    together = threading.Barrier(8, timeout=20)

    def script(body: dict[str, object], number: int) -> Said:
        together.wait()
        return words(f"label of {body['seed']}")

    with serving(script) as server:
        ask = asker(server, [])
        asked = [question(sample) for sample in range(16)]
        replies = ask.each(ask, asked)
    assert [reply.text for reply in replies] == [f"label of {each.noise}" for each in asked]
    assert (server.most, server.calls) == (8, 16)


def test_one_request_that_fails_leaves_the_others_be() -> None:
    bad = question(3).noise
    with serving(lambda body, _: error(500, "oh") if body["seed"] == bad else words("red")) as server:
        ask = asker(server, [], attempts=2)
        got: list[Reply] = []
        with pytest.raises(RequestFailed):
            ask.each(lambda request: got.append(ask(request)), [question(sample) for sample in range(12)])
    assert (len(got), server.calls) == (11, 13)


def test_a_wrong_key_ends_the_waiting_of_the_others() -> None:
    def script(body: dict[str, object], number: int) -> Said:
        return error(401, "no") if number == 7 else error(503, "busy", retry_after="200")

    with serving(script) as server:
        ask = Asker(OpenAI("small", server.environ))
        with pytest.raises(BadKey):
            ask.each(ask, [question(sample) for sample in range(100)])
    assert 8 <= server.calls <= 16, "those that waited tried once more at most, and no other was begun"


def test_replies_that_end_otherwise_say_so() -> None:
    answers = [
        words("a very long", "length"),
        words("", "length"),
        words("", "content_filter"),
        words(None, refusal="I can't help with that."),
        words("red", usage=None),
        Said(body=b'{"choices": [{"message": {"content": [{"type": "text", "text": "red"}]}}]}'),
    ]
    with serving(lambda body, number: answers[number]) as server:
        model = OpenAI("small", server.environ)
        found = [model.complete(question()) for _ in answers]
    assert [(reply.text, reply.finish_reason, reply.tokens_in) for reply in found] == [
        ("a very long", "length", 100),
        ("", "length", 100),
        ("", "content_filter", 100),
        ("I can't help with that.", "refusal", 100),
        ("red", "stop", None),
        ("red", "stop", None),
    ]


def test_errors_say_what_to_do_next() -> None:
    with serving(lambda body, number: error(500, "oh")) as server, pytest.raises(BelvedereError) as told:
        asker(server, [], attempts=1, failures=1)(question())
    assert str(told.value) == (
        "small is down: 1 request failed in a row (the last: 500: oh); what was answered is kept, and "
        "the same command goes on from there later"
    )
