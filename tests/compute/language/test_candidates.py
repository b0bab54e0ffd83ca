"""Candidate labels depend on the captions alone, and no usable reply is asked for twice."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from belvedere.compute.language import find, prompts
from belvedere.compute.language.asking import Asker
from belvedere.compute.language.budget import Budget, Limits
from belvedere.compute.language.candidates import Candidates, candidates, shuffled
from belvedere.compute.language.messages import Sampling
from belvedere.compute.language.openai_http import OpenAI
from belvedere.compute.language.prices import Price
from belvedere.compute.language.retrying import Policy
from belvedere.compute.language.settings import PRESETS, Settings
from belvedere.store import digest
from belvedere.store.errors import BadKey, BadSource, BudgetSpent, ProviderDown, RequestFailed, UnknownName
from tests.chat_server import KEY, ChatServer, Said, error, serving, words

CAPTIONS = ["a red star on grass", "two red stars", "a red ring", "a red cap", "a shiny red car"]
PAPER = PRESETS["paper"]


class Kept:
    """A memo in memory, keyed as a store keys it."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, Any]] = {}
        self.lock = threading.Lock()

    def get(self, kind: str, cause: dict[str, Any]) -> dict[str, Any] | None:
        return self.values.get(digest.of_facts([kind, cause]))

    def put(self, kind: str, cause: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
        digest.canonical(value)
        with self.lock:
            return self.values.setdefault(digest.of_facts([kind, cause]), value)


class KeptMeanwhile(Kept):
    """A memo into which another process puts all, each time just after one has looked in vain."""

    def __init__(self, values: dict[str, dict[str, Any]]) -> None:
        super().__init__()
        self.values = values

    def get(self, kind: str, cause: dict[str, Any]) -> dict[str, Any] | None:
        return None


def asker(server: ChatServer, budget: Budget | None = None, **policy: int) -> Asker:
    model = OpenAI("small", server.environ)
    return Asker(model, budget=budget, policy=Policy(pause=lambda _: None, **policy))


def seeds(
    *, strict: bool, settings: Settings = PRESETS["default"], captions: list[str] = CAPTIONS
) -> list[int]:
    """The seeds of the summaries' requests, by which a server can tell them apart."""
    prompt = prompts.find(settings.summary_prompt)
    return [
        prompt.request(
            captions,
            settings.language,
            settings.sampling,
            shown=shuffled(captions, settings.sampling.seed, number),
            sample=number,
            strict=strict,
        ).noise
        for number in range(settings.samples)
    ]


def by_sample(replies: dict[int, Said], default: Said) -> Callable[[dict[str, Any], int], Said]:
    """Answer the first requests of some samples as told, all others by default."""
    told = {seeds(strict=False)[sample]: said for sample, said in replies.items()}
    return lambda body, _: told.get(body["seed"], default)


def asked_about(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"])


def test_five_summaries_give_each_label_once_in_the_order_of_letters() -> None:
    texts = ["Red things.", "red things", '"Stars"', "red objects", "Label: stars"]
    with serving(by_sample({n: words(text) for n, text in enumerate(texts)}, words("?"))) as server:
        found = candidates(CAPTIONS, asker(server))
    assert found.texts == ("red objects", "red things", "stars")
    assert found.origins == {"red objects": (3,), "red things": (0, 1), "stars": (2, 4)}
    assert (found.status, found.statuses, server.calls) == ("ok", ("ok",) * 5, 5)
    assert [sample.said for sample in found.samples] == texts
    assert len(set(found.requests)) == 5


def test_each_summary_sees_the_captions_in_an_order_of_its_own() -> None:
    captions = [f"a red {thing}" for thing in ("star", "ring", "cap", "car", "box", "sky", "dog", "cat")]
    with serving(lambda body, number: words("red")) as server:
        candidates(captions, asker(server))
        orders = {
            tuple(line[2:] for line in asked_about(body).splitlines() if line.startswith("- "))
            for body in server.asked
        }
    assert len(orders) == 5
    assert all(sorted(order) == sorted(captions) for order in orders)


def test_orders_depend_on_the_captions_and_on_no_order_of_theirs() -> None:
    again = CAPTIONS[::-1]
    assert [shuffled(again, 0, n) for n in range(5)] == [shuffled(CAPTIONS, 0, n) for n in range(5)]
    assert shuffled(CAPTIONS, 0, 0) != shuffled(CAPTIONS, 1, 0)
    assert sorted(shuffled(["a", "b", "a"], 0, 0)) == ["a", "a", "b"]
    first = {shuffled(CAPTIONS, 0, n)[0] for n in range(60)}
    assert first == set(CAPTIONS)


def test_labels_do_not_change_with_the_neurons_beside(tmp_path: object) -> None:
    def script(body: dict[str, Any], number: int) -> Said:
        return words(f"label {chr(97 + body['seed'] % 26)}")

    neurons = [
        [f"a {colour} {shape}" for shape in ("star", "ring", "box")] for colour in ("red", "blue", "pink")
    ]
    with serving(script) as server:
        alone = [candidates(each, asker(server)) for each in neurons]
        ask, memo = asker(server), Kept()
        together = [candidates(each, ask, memo=memo) for each in reversed(neurons)][::-1]
    assert together == alone


BAD = {
    "a refusal": (words("I'm sorry, I can't do that."), "refused"),
    "a filter": (words("", "content_filter"), "refused"),
    "fifty lines": (words("red star\n" * 50), "malformed"),
    "a caption": (words("a red star on grass"), "malformed"),
    "nine words": (words("all of these pictures show something that is red"), "malformed"),
    "another script": (words("красные звёзды"), "malformed"),
    "what was cut off": (words("red thi", "length"), "malformed"),
}


@pytest.mark.parametrize(("said", "status"), BAD.values(), ids=BAD)
def test_what_is_no_label_is_asked_for_once_more_in_stricter_words(said: Said, status: str) -> None:
    with serving(by_sample({2: said}, words("red"))) as server:
        memo = Kept()
        found = candidates(CAPTIONS, asker(server), memo=memo)
        assert (found.status, found.texts, server.calls) == ("ok", ("red",), 6)
        assert {"red"} == {value["text"] for value in memo.values.values()}
        again = next(body for body in server.asked if body["seed"] == seeds(strict=True)[2])
        assert asked_about(again).endswith(prompts.find("summarise").strict.format(language="English"))


@pytest.mark.parametrize(("said", "status"), BAD.values(), ids=BAD)
def test_what_is_no_label_twice_is_a_status_and_never_a_text(said: Said, status: str) -> None:
    with serving(lambda body, number: said) as server:
        memo = Kept()
        found = candidates(CAPTIONS, asker(server), memo=memo)
        assert (found.texts, found.status, found.statuses) == ((), status, (status,) * 5)
        assert all(sample.reason and not sample.text for sample in found.samples)
        assert (server.calls, memo.values) == (10, {})


def test_some_summaries_without_a_label_leave_those_of_the_others() -> None:
    no = seeds(strict=False)[1], seeds(strict=True)[1]
    with serving(lambda body, _: words("Sorry." if body["seed"] in no else "red")) as server:
        found = candidates(CAPTIONS, asker(server))
    assert (found.status, found.texts, found.statuses[1]) == ("partial", ("red",), "refused")


def test_what_is_kept_is_not_asked_again() -> None:
    with serving(by_sample({2: words("Sorry."), 3: words("x\n" * 50)}, words("red"))) as server:
        memo = Kept()
        first = candidates(CAPTIONS, asker(server), memo=memo)
        assert server.calls == 7
        assert candidates(CAPTIONS, asker(server), memo=memo) == first
        assert server.calls == 7
        assert candidates(CAPTIONS, asker(server), memo=memo, settings=Settings(samples=6)).texts == ("red",)
        assert server.calls == 8
        again = Settings(sampling=Sampling(epoch=1))
        assert candidates(CAPTIONS, asker(server), memo=memo, settings=again).status == "ok"
        assert server.calls == 13


def test_kept_replies_answer_without_a_key_or_a_server() -> None:
    with serving(lambda body, number: words("red")) as server:
        memo = Kept()
        first = candidates(CAPTIONS, asker(server), memo=memo)
        environ = {"OPENAI_BASE_URL": server.url}
    assert candidates(CAPTIONS, Asker(OpenAI("small", environ)), memo=memo) == first


def test_a_reply_that_is_kept_but_of_no_use_is_asked_for_again() -> None:
    with serving(lambda body, number: words("red")) as server:
        memo = Kept()
        first = candidates(CAPTIONS, asker(server), memo=memo)
        for value in memo.values.values():
            value["text"] = "Sorry."
        assert candidates(CAPTIONS, asker(server), memo=memo) == first
    assert server.calls == 10


def test_replies_of_another_model_are_not_taken() -> None:
    with serving(lambda body, number: words(f"of {body['model']}")) as server:
        memo = Kept()
        one = candidates(CAPTIONS, asker(server), memo=memo)
        other = candidates(CAPTIONS, Asker(OpenAI("large", server.environ)), memo=memo)
    assert (one.texts, other.texts) == (("of small",), ("of large",))


def test_no_key_is_in_what_is_kept() -> None:
    with serving(lambda body, number: words("red")) as server:
        memo = Kept()
        candidates(CAPTIONS, asker(server), memo=memo)
    assert KEY not in repr(memo.values)
    assert {value["prompt"]["name"] for value in memo.values.values()} == {"summarise"}


@pytest.mark.parametrize("seed", range(4))
def test_a_run_that_broke_off_goes_on_where_it_was(seed: int) -> None:
    """Whatever a server does on the way, the labels are the same and no usable reply comes twice."""
    dice, lock = random.Random(seed), threading.Lock()
    good: list[int] = []

    def script(body: dict[str, Any], number: int) -> Said:
        with lock:
            luck = dice.random()
            if luck < 0.5:
                trouble = (error(429, "slow", retry_after="1"), error(500, "oh"), words(""), Said(body=b"{"))
                return dice.choice([*trouble, error(503, "x", seen=200), Said(503, b"<html>")])
            good.append(body["seed"])
        return words(f"label {chr(97 + body['seed'] % 26)}")

    with serving(lambda body, _: words(f"label {chr(97 + body['seed'] % 26)}")) as server:
        expected = candidates(CAPTIONS, asker(server))
    with serving(script) as server:
        memo, found = Kept(), list[Candidates]()
        while not found:
            try:
                found.append(candidates(CAPTIONS, asker(server, attempts=2), memo=memo))
            except (RequestFailed, ProviderDown):
                continue
    assert found == [expected]
    assert sorted(good) == sorted(set(good))
    assert len(good) == 5


def test_a_reply_that_another_process_kept_meanwhile_is_the_one_that_counts() -> None:
    memo = Kept()
    with serving(lambda body, _: words("red stars")) as server:
        first = candidates(CAPTIONS, asker(server), memo=memo)
        server.script = lambda body, _: words("blue rings")
        assert candidates(CAPTIONS, asker(server), memo=KeptMeanwhile(memo.values)) == first
    assert (first.texts, server.calls) == (("red stars",), 10)


@pytest.mark.parametrize("settings", PRESETS.values(), ids=PRESETS)
def test_neurons_asked_about_at_once_share_what_they_have_in_common(settings: Settings) -> None:
    shared = [f"{each} {number}" for each in "ab" for number in ("one", "two")]
    neurons = [[*shared, f"of {name}"] for name in ("x", "y", "z", "x")]

    def script(body: dict[str, Any], number: int) -> Said:
        return words(f"label {chr(97 + body['seed'] % 26)}")

    with serving(script) as server:
        alone = [candidates(each, asker(server), settings=settings) for each in neurons]
        before = server.calls
        ask, memo = asker(server), Kept()
        together = ask.each(lambda each: candidates(each, ask, settings=settings, memo=memo), neurons)
        asked = [body["seed"] for body in server.asked[before:]]
    assert together == alone
    assert sorted(asked) == sorted(set(asked))
    assert server.most <= 8


def test_what_ends_the_asking_about_one_neuron_ends_it_about_all() -> None:
    def script(body: dict[str, Any], number: int) -> Said:
        return error(401, "no") if number == 7 else error(503, "busy", retry_after="200")

    with serving(script) as server:
        ask = Asker(OpenAI("small", server.environ))
        with pytest.raises(BadKey):
            ask.each(lambda name: candidates([f"a {name}"], ask), [f"x{n}" for n in range(40)])
    assert 8 <= server.calls <= 60


def test_a_provider_that_goes_down_leaves_what_was_answered() -> None:
    down = seeds(strict=False)[3]
    with serving(lambda body, _: error(500, "oh") if body["seed"] == down else words("red")) as server:
        memo = Kept()
        with pytest.raises(RequestFailed):
            candidates(CAPTIONS, asker(server, attempts=2), memo=memo)
        assert len(memo.values) == 4
        server.script = lambda body, number: words("red")
        assert candidates(CAPTIONS, asker(server), memo=memo).status == "ok"
        assert server.calls == 4 + 2 + 1


def test_a_budget_that_is_spent_leaves_what_was_answered() -> None:
    with serving(lambda body, number: words("red")) as server:
        memo = Kept()
        with pytest.raises(BudgetSpent):
            candidates(CAPTIONS, asker(server, Budget(Limits(max_calls=3), None)), memo=memo)
        assert (server.calls, len(memo.values)) == (3, 3)
        ask = asker(server, Budget(Limits(max_calls=2), Price(1, 1)))
        assert candidates(CAPTIONS, ask, memo=memo).status == "ok"
        assert ask.spent.calls == 2


@pytest.mark.parametrize("captions", [[], [""], [" ", "!!"]])
def test_captions_without_a_word_are_not_asked_about(captions: list[str]) -> None:
    with serving(lambda body, number: words("red")) as server:
        assert candidates(captions, asker(server)) == Candidates((), (), (), {})
        assert candidates(captions, asker(server)).status == "empty"
        assert server.calls == 0


def test_captions_are_cleaned_first_and_those_of_the_paper_are_not() -> None:
    with serving(lambda body, number: words("red")) as server:
        found = candidates(["a star star star", " a {red} t - shirt "], asker(server))
        assert found.captions == ("a star", "a {red} t-shirt")
        raw = candidates(["a star star star"], asker(server), settings=Settings(clean=False))
        assert raw.captions == ("a star star star",)


def test_the_paper_shortens_each_caption_and_sees_them_first_in_their_order() -> None:
    def script(body: dict[str, Any], number: int) -> Said:
        text = asked_about(body)
        if not text.startswith("Shorten"):
            return words("red things")
        return words(next(each for each in CAPTIONS if each in text).split()[-1])

    with serving(script) as server:
        found = candidates([*CAPTIONS, CAPTIONS[0]], asker(server), settings=PAPER)
    assert found.captions == ("grass", "stars", "ring", "cap", "car", "grass")
    assert found.texts == ("red things",)
    assert server.calls == 5 + 5, "two equal captions are shortened once"
    orders = [asked_about(body) for body in server.asked if "several pictures" in asked_about(body)]
    assert sum("grass, stars, ring, cap, car, grass" in order for order in orders) == 1
    assert len(set(orders)) == 5


def test_the_paper_merges_lists_and_cuts_at_colons_and_adds_backgrounds() -> None:
    def script(body: dict[str, Any], number: int) -> Said:
        text = asked_about(body)
        if text.startswith("Shorten"):
            return words("red star")
        if text.startswith("Here are several labels"):
            assert "stars, cars, all sorts of other things in this picture" in text
            return words("Merged: Red Designs.")
        return words("Theme: stars, cars, all sorts of other things in this picture: c")

    with serving(script) as server:
        found = candidates(CAPTIONS, asker(server), settings=PAPER)
    assert found.texts == ("red designs", "red designs background")
    assert server.calls == 5 + 5 + 5


def test_a_caption_that_cannot_be_shortened_stays_as_it_is() -> None:
    def script(body: dict[str, Any], number: int) -> Said:
        return words("I'm sorry." if asked_about(body).startswith("Shorten") else "red")

    with serving(script) as server:
        found = candidates(CAPTIONS, asker(server), settings=PAPER)
    assert (found.captions, found.texts, server.calls) == (tuple(CAPTIONS), ("red",), 15)


def test_labels_in_another_language() -> None:
    replies = {0: "Rote Sterne", 1: "rote Sterne.", 2: "blaue Autos", 3: "Sterne", 4: "Sterne"}
    german = Settings(language="de")
    told = dict(zip(seeds(strict=False, settings=german), replies.values(), strict=True))
    with serving(lambda body, _: words(told[body["seed"]])) as server:
        found = candidates(CAPTIONS, asker(server), settings=german)
        assert all("in German" in asked_about(body) for body in server.asked)
    assert found.texts == ("blaue Autos", "Rote Sterne", "Sterne")


def test_rules_answer_the_whole_chain_without_a_memo_or_a_budget() -> None:
    memo = Kept()
    ask = Asker(find("rules"), budget=Budget(Limits(max_calls=0), None))
    found = candidates(CAPTIONS, ask, memo=memo)
    assert "red" in found.texts
    assert (found.samples[0].text, len(found.texts), memo.values) == ("red", 5, {})
    assert candidates(CAPTIONS, ask, settings=PAPER).status == "ok"
    assert candidates(["a photo"], ask).status == "malformed"


def test_settings_that_are_none_are_refused() -> None:
    for wrong in ({"samples": 0}, {"colon": "last"}, {"comma": "all"}):
        with pytest.raises(BadSource):
            Settings(**wrong)
    with pytest.raises(UnknownName):
        Settings(language="xx")
    with pytest.raises(UnknownName):
        Settings(summary_prompt="sum")


def test_settings_are_identified_by_choices_and_prompts() -> None:
    facts = [settings.facts() for settings in PRESETS.values()]
    assert facts[0] != facts[1]
    assert {digest.of_facts(each) for each in facts} == {digest.of_facts(each) for each in facts}
    assert list(facts[0]["prompts"]) == ["summarise"]
    assert list(facts[1]["prompts"]) == ["simplify", "summarise_worked", "merge"]
