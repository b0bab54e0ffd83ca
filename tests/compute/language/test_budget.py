"""What a call can take is held back before it is made, and what it took is counted after."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from belvedere.compute.language import find, prompts
from belvedere.compute.language.asking import Asker
from belvedere.compute.language.budget import Budget, Limits, Purse, Spent, price
from belvedere.compute.language.messages import Request, Sampling
from belvedere.compute.language.openai_http import OpenAI
from belvedere.compute.language.prices import FREE, Price, read
from belvedere.compute.language.retrying import Policy
from belvedere.store.errors import BadSource, BudgetSpent, RequestFailed, RequestRejected
from tests.chat_server import ChatServer, Said, error, serving, words

PRICES = {"small": Price(1.0, 10.0)}


def question(sample: int = 0) -> Request:
    return prompts.find("merge").request(["red", "star"], "en", Sampling(max_tokens=50), sample=sample)


def asker(server: ChatServer, limits: Limits, **policy: int) -> Asker:
    model = OpenAI("small", server.environ)
    held = Budget(limits, price(model, PRICES))
    return Asker(model, budget=held, policy=Policy(pause=lambda _: None, **policy))


def test_what_a_call_took_is_counted_as_the_provider_counts_it() -> None:
    with serving(lambda body, number: words("red star")) as server:
        ask = asker(server, Limits())
        ask(question())
        ask(question(1))
    assert ask.spent == Spent(2, 200, 14, (100 + 70) / 1e6 * 2)


def test_a_call_is_not_made_where_one_more_is_too_many() -> None:
    with serving(lambda body, number: words("red star")) as server:
        ask = asker(server, Limits(max_calls=2))
        ask(question())
        ask(question(1))
        with pytest.raises(BudgetSpent) as told:
            ask(question(2))
    needed = ask.model.tokens(question(2))
    assert server.calls == 2
    assert (told.value.limit, told.value.spent["calls"]) == ("max_calls=2", 2)
    usd = (needed + 500) / 1e6
    assert told.value.needed == {"calls": 1, "tokens_in": needed, "tokens_out": 50, "usd": usd}
    assert str(told.value) == (
        f"the budget of max_calls=2 is spent: 2 calls, 200 tokens in and 14 out, $0.00034 so far, and the "
        f"next would take up to 1 call, {needed} tokens in and 50 out, $0.00056; replies that came are kept; "
        "allow more (max_calls=…, --max-calls) to go on from there"
    )


def test_tokens_and_money_are_held_back_before_the_call() -> None:
    with serving(lambda body, number: words("red star")) as server:
        needed = OpenAI("small", server.environ).tokens(question())
        for limits, calls in (
            (Limits(max_tokens=needed + 49), 0),
            (Limits(max_tokens=needed + 50), 1),
            (Limits(max_usd=(needed + 499) / 1e6), 0),
            (Limits(max_usd=(needed + 500) / 1e6), 1),
        ):
            before, ask = server.calls, asker(server, limits)
            with pytest.raises(BudgetSpent):
                [ask(question(sample)) for sample in range(2)]
            assert server.calls - before == calls


def test_calls_under_way_at_once_do_not_spend_more_than_there_is() -> None:
    with serving(lambda body, number: words("red star", usage=(40, 7))) as server:
        needed = OpenAI("small", server.environ).tokens(question())
        ask = asker(server, Limits(max_tokens=3 * (needed + 50)))
        with pytest.raises(BudgetSpent):
            ask.each(ask, [question(sample) for sample in range(40)])
        assert ask.spent.tokens_in + ask.spent.tokens_out <= 3 * (needed + 50)
        assert ask.spent.calls == server.calls >= 1


def test_a_call_waits_for_others_that_may_turn_out_cheaper() -> None:
    held = Budget(Limits(max_tokens=100), FREE)
    first, found = held.reserve(40, 40), list[Spent]()
    second = threading.Thread(target=lambda: found.append(held.reserve(30, 30)))
    second.start()
    held.settle(first, 10, 5)
    second.join()
    assert found == [Spent(1, 30, 30, 0.0)]
    held.settle(found[0], 50, 10)
    with pytest.raises(BudgetSpent):
        held.reserve(30, 0)


def test_models_that_pay_from_one_purse_have_its_limits_together() -> None:
    purse, limits = Purse(), Limits(max_calls=3, max_usd=1.0)
    dear, cheap = Budget(limits, Price(1e6, 1e6), purse), Budget(limits, FREE, purse)
    dear.settle(dear.reserve(0, 1), 0, 0)
    cheap.settle(cheap.reserve(90, 10), 90, 10)
    with pytest.raises(BudgetSpent, match=r"max_usd=1 is spent: 2 calls, 90 tokens in and 10 out, \$0\.0000"):
        dear.reserve(1, 1)
    cheap.settle(cheap.reserve(5, 5), 5, 5)
    with pytest.raises(BudgetSpent, match="max_calls=3"):
        dear.reserve(0, 1)
    assert dear.spent == cheap.spent == Spent(3, 95, 15, 0.0)


def test_attempts_that_fail_count_as_calls_and_take_what_they_were_charged_for() -> None:
    answers = [error(429, "slower"), words(""), Said(body=b"{"), words("red star")]
    with serving(lambda body, number: answers[number]) as server:
        ask = asker(server, Limits())
        ask(question())
        most = ask.model.tokens(question())
        assert ask.spent == Spent(4, 0 + 100 + most + 100, 0 + 7 + 50 + 7, ask.spent.usd)
        ask = asker(server, Limits(max_calls=1))
        server.script = lambda body, number: error(500, "oh")
        with pytest.raises(BudgetSpent):
            ask(question())


def test_an_answer_that_was_lost_on_its_way_counts_as_all_that_was_held_back() -> None:
    with serving(lambda body, number: Said(cut=True) if number == 0 else words("red star")) as server:
        ask = asker(server, Limits())
        ask(question())
    assert ask.spent == Spent(2, ask.model.tokens(question()) + 100, 50 + 7, ask.spent.usd)


def test_a_server_that_was_not_reached_took_nothing() -> None:
    with serving(lambda body, number: words("red star")) as server:
        ask = asker(server, Limits(), attempts=1)
    with pytest.raises(RequestFailed, match="ConnectError"):
        ask(question())
    assert ask.spent == Spent(1, 0, 0, 0.0)


def test_what_was_rejected_costs_a_call_and_nothing_else() -> None:
    with serving(lambda body, number: error(404, "no")) as server:
        ask = asker(server, Limits())
        with pytest.raises(RequestRejected):
            ask(question())
    assert ask.spent == Spent(1, 0, 0, 0.0)


def test_without_usage_tokens_are_estimated() -> None:
    with serving(lambda body, number: words("red star", usage=None)) as server:
        ask = asker(server, Limits())
        ask(question())
    assert ask.spent == Spent(1, ask.model.tokens(question()), 2, ask.spent.usd)


def test_money_cannot_be_limited_where_the_price_is_not_known() -> None:
    model = OpenAI("large", {"OPENAI_API_KEY": "k"})
    with pytest.raises(BadSource, match=r"none of 'large'; it has .*It names models as their endpoint does"):
        price(model, PRICES)
    with pytest.raises(BadSource, match="max_usd=1 can be held only where the price of the model is known"):
        Budget(Limits(max_usd=1.0), None)
    unknown = Budget(Limits(max_tokens=10), price(model, {}))
    assert unknown.of(5, 5) == Spent(1, 5, 5, None)
    assert str(unknown.of(5, 5)) == "1 call, 5 tokens in and 5 out"
    with pytest.raises(BudgetSpent, match=r"5 tokens in and 6 out; replies"):
        unknown.reserve(5, 6)


def test_what_runs_here_costs_no_money_and_rules_count_for_nothing() -> None:
    rules = find("rules")
    assert price(rules, PRICES) == price(find("hf:anything"), PRICES) == FREE
    ask = Asker(rules, budget=Budget(Limits(max_calls=0, max_tokens=0, max_usd=0), price(rules, {})))
    assert ask(question()).text == "red"
    assert ask.spent == Spent()


def test_a_budget_of_nothing_makes_no_call() -> None:
    with serving(lambda body, number: words("red")) as server:
        for limits in (Limits(max_calls=0), Limits(max_tokens=0), Limits(max_usd=0)):
            with pytest.raises(BudgetSpent):
                asker(server, limits)(question())
    assert server.calls == 0


@pytest.mark.parametrize("limits", [{"max_calls": -1}, {"max_tokens": -1}, {"max_usd": float("nan")}])
def test_limits_below_nothing_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(BadSource, match="is at least 0"):
        Limits(**limits)


def test_a_table_of_prices_is_read_from_a_file_or_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text('["gpt-4.1-mini"]\nusd_in = 0.4\nusd_out = 1.6\n[free]\nusd_in = 0\nusd_out = 0\n')
    expected = {"gpt-4.1-mini": Price(0.4, 1.6), "free": Price(0.0, 0.0)}
    assert read(path) == read(str(path)) == expected
    assert read({"gpt-4.1-mini": {"usd_in": 0.4, "usd_out": 1.6}, "free": FREE}) == expected


BROKEN = {
    "[gpt-4.1]\nusd_in = 1\nusd_out = 1": r"has \['1'\] for 'gpt-4', and not usd_in.* stands in quotes",
    "[m]\nusd_in = 1": r"has \['usd_in'\] for 'm'",
    "m = 3": "has 3 for 'm'",
    "[m]\nusd_in = -1\nusd_out = 1": "has usd_in = -1 for 'm', which is no price in dollars",
    "[m]\nusd_in = 1\nusd_out = true": "has usd_out = True",
    "[m]\nusd_in = inf\nusd_out = 1": "has usd_in = inf",
    "[m\n": "is not TOML",
}


@pytest.mark.parametrize(("text", "message"), BROKEN.items())
def test_a_broken_table_of_prices_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(BadSource, match=message):
        read(path)
    path.write_text("")
    with pytest.raises(BadSource, match="names no model: say usd_in and usd_out of one"):
        read(path)
    with pytest.raises(BadSource, match="no table of prices"):
        read(tmp_path / "none.toml")


def test_a_budget_that_is_spent_ends_a_request_between_two_attempts() -> None:
    with serving(lambda body, number: error(500, "oh")) as server:
        with pytest.raises(BudgetSpent):
            asker(server, Limits(max_calls=2))(question())
        with pytest.raises(RequestFailed):
            asker(server, Limits(max_calls=2), attempts=2)(question())
    assert server.calls == 4
