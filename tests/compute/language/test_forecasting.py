"""What will be asked is told before, and what is asked stays within it."""

from __future__ import annotations

from typing import Any

import pytest

from belvedere.compute.language import find
from belvedere.compute.language.asking import Asker
from belvedere.compute.language.budget import Budget, Limits, Spent
from belvedere.compute.language.candidates import candidates
from belvedere.compute.language.forecasting import Forecast, forecast
from belvedere.compute.language.openai_http import OpenAI
from belvedere.compute.language.prices import Price
from belvedere.compute.language.settings import PRESETS, Settings
from tests.chat_server import ChatServer, Said, serving, words
from tests.compute.language.test_candidates import CAPTIONS, Kept

PAPER = PRESETS["paper"]


def asker(server: ChatServer) -> Asker:
    return Asker(OpenAI("small", server.environ), budget=Budget(Limits(), Price(1.0, 2.0)))


def test_the_calls_of_the_default_chain_are_told_exactly_if_replies_are_usable() -> None:
    with serving(lambda body, number: words("red", usage=None)) as server:
        ask = asker(server)
        told = forecast(CAPTIONS, ask)
        assert (told.least.calls, told.most.calls, told.kept, server.calls) == (5, 10, 0, 0)
        candidates(CAPTIONS, ask)
    assert ask.spent.calls == told.least.calls
    assert ask.spent.tokens_in == told.least.tokens_in
    assert ask.spent.tokens_out <= told.least.tokens_out == 5 * 40
    assert not told.exact


@pytest.mark.parametrize("settings", [PRESETS["default"], PAPER, Settings(samples=2, comma="merge")])
def test_the_most_is_what_the_worst_replies_take(settings: Settings) -> None:
    def worst(body: dict[str, Any], number: int) -> Said:
        text = body["messages"][-1]["content"]
        strict = text.endswith("other text at all.") or text.endswith("no apology.")
        return words("one, two, three four" if strict else "Sorry.", usage=None)

    with serving(worst) as server:
        ask = asker(server)
        told, later = forecast(CAPTIONS, ask, settings=settings), forecast(5, ask, settings=settings)
        candidates(CAPTIONS, ask, settings=settings)
    assert ask.spent.calls == told.most.calls == later.most.calls
    for most in (told.most, later.most):
        assert ask.spent.tokens_in <= most.tokens_in
        assert ask.spent.tokens_out <= most.tokens_out
        assert most.usd == pytest.approx((most.tokens_in + 2 * most.tokens_out) / 1e6)
    assert later.least == Spent(0, 0, 0, 0.0)


@pytest.mark.parametrize("settings", [PRESETS["default"], PAPER])
def test_what_is_kept_is_not_counted_again(settings: Settings) -> None:
    def script(body: dict[str, Any], number: int) -> Said:
        listed = "several pictures" in body["messages"][-1]["content"] and body["seed"] % 2
        return words("red, blue" if listed and settings is PAPER else "red")

    with serving(script) as server:
        ask, memo = asker(server), Kept()
        candidates(CAPTIONS, ask, settings=settings, memo=memo)
        calls = server.calls
        told = forecast(CAPTIONS, ask, settings=settings, memo=memo)
        assert told == Forecast(Spent(), Spent(), calls)
        assert told.exact
        for key in list(memo.values)[-2:]:
            del memo.values[key]
        told = forecast(CAPTIONS, ask, settings=settings, memo=memo)
        candidates(CAPTIONS, ask, settings=settings, memo=memo)
    assert told.least.calls <= server.calls - calls == 2 <= told.most.calls


def test_a_plan_needs_no_key() -> None:
    told = forecast(10, Asker(OpenAI("small", {})))
    assert (told.most.calls, told.most.usd) == (10, None)


def test_rules_take_nothing() -> None:
    assert forecast(CAPTIONS, Asker(find("rules"))) == Forecast(Spent(), Spent(), 0)
    assert forecast(10, Asker(find("rules")), settings=PAPER) == Forecast(Spent(), Spent(), 0)


def test_captions_without_a_word_take_nothing_and_neurons_add_up() -> None:
    ask = Asker(OpenAI("small", {}), budget=Budget(Limits(), Price(1.0, 2.0)))
    assert forecast(["", "!"], ask).most == Spent()
    one, other = forecast(CAPTIONS, ask), forecast(3, ask)
    both = one.plus(other)
    assert (both.least.calls, both.most.calls) == (5, 20)
    assert both.most.tokens_in == one.most.tokens_in + other.most.tokens_in
