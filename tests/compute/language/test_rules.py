"""Labels by counting name what captions share, on every draw of the demo world's captions."""

from __future__ import annotations

import random

import pytest

from belvedere.compute.language import find, ngrams, prompts
from belvedere.compute.language.cleaning import cleaned
from belvedere.compute.language.english import singular
from belvedere.compute.language.messages import Sampling
from belvedere.compute.language.ngrams import Phrase, content, labels, phrases
from belvedere.demo.captions import caption
from belvedere.demo.words import FORMS, VALUES
from belvedere.store.errors import RequestRejected

PAIRS = [(attribute, value) for attribute, values in VALUES.items() for value in values]


def named(attribute: str, value: str) -> tuple[str, ...]:
    """How captions name a value, the preposition aside: shapes of one or of several."""
    if attribute == "background":
        return ({"night": "night sky", "brick": "bricks"}.get(value, value),)
    first = FORMS[attribute][value][0]
    return (first["shape"], first["shapes"]) if attribute == "shape" else (first[attribute],)


def drawn(attribute: str, value: str, draw: int) -> list[str]:
    """Captions of ten scenes that share a value; the rest of each is drawn."""
    dice = random.Random(f"{attribute} {value} {draw}")
    scenes = [{name: dice.choice(values) for name, values in VALUES.items()} for _ in range(10)]
    return [caption({**scene, attribute: value}) for scene in scenes]


@pytest.mark.parametrize(("attribute", "value"), PAIRS)
def test_what_ten_scenes_share_comes_first(attribute: str, value: str) -> None:
    hits = sum(labels(drawn(attribute, value, draw), 1)[0] in named(attribute, value) for draw in range(40))
    assert hits >= 38


def test_what_nine_of_ten_scenes_share_comes_first_too() -> None:
    hits = 0
    for attribute, value in PAIRS:
        for draw in range(5):
            captions = drawn(attribute, value, draw)
            other = VALUES[attribute][0 if value != VALUES[attribute][0] else 1]
            captions[draw] = drawn(attribute, other, draw)[0]
            hits += labels(captions, 1)[0] in named(attribute, value)
    assert hits >= 0.95 * 5 * len(PAIRS)


def test_two_values_that_are_shared_are_one_label() -> None:
    captions = [
        caption({"number": n, "shape": "star", "colour": "red", "texture": t, "background": b})
        for n, t, b in zip("1234", VALUES["texture"], VALUES["background"], strict=False)
    ]
    assert labels(captions, 1) == ["red stars"], "of four captions three have it so"


def test_a_label_is_written_as_most_captions_have_it() -> None:
    assert labels(["things on bricks", "a thing on bricks", "a brick"], 1) == ["bricks"]
    assert labels(["a zebra", "two zebras", "a zebra in snow"], 1) == ["zebra"]
    assert labels(["two red stars", "a red star"], 1) == ["red stars"], "the best exemplar weighs most"


def test_a_noun_that_is_found_in_a_compound_alone_is_no_label() -> None:
    always = ["a star in the night sky", "two rings in the night sky", "a heart in the night sky"]
    texts = {each.text for each in phrases(always)}
    assert {"night sky", "star", "rings", "heart"} == texts - {"two", "two rings"}
    assert labels([*always, "a blue sky"], 2) == ["sky", "night sky"], "a sky is found by itself, too"
    assert "night" not in labels([*always, "a blue sky"], 9)
    assert labels(["a red star", "a red star"], 3) == ["red star", "red", "star"], "red is no noun"


def test_a_run_of_nouns_that_is_longer_than_a_label_still_gives_one() -> None:
    assert labels(["an ice cream cone truck", "the ice cream cone truck"], 1) == ["cream cone truck"]


def test_captions_of_photographs_give_readable_labels() -> None:
    captions = [
        "a zebra standing in a field of grass",
        "a close up of a zebra's face",
        "two zebras standing next to each other",
        "a photo of a black and white striped shirt",
        "a herd of zebras grazing in a grassy field",
        "a black and white striped pattern background stock photo",
        "a zebra drinking water",
        "a woman in a striped dress",
        "zebra crossing on a street",
        "a zebra zebra zebra zebra",
    ]
    found = labels([cleaned(each) for each in captions])
    assert found[0] == "zebra"
    assert "striped" in found
    assert len(set(found)) == len(found) == 5


def test_labels_depend_on_nothing_but_the_captions_and_their_ranks() -> None:
    captions = drawn("colour", "red", 0)
    assert labels(captions) == labels(list(captions))
    assert labels(["a cat", "a dog"], 1) == ["cat"]
    assert labels(["a dog", "a cat"], 1) == ["dog"], "the best exemplar weighs most"
    assert labels(["a dog and a cat"], 2) == ["cat", "dog"], "ties go by letters"


def test_weights_are_shares_of_the_captions_by_rank() -> None:
    found = {each.text: each.weight for each in phrases(["a star", "red", "two stars"])}
    assert found == {
        "star": pytest.approx((1 + 0.5) / 2.25),
        "red": pytest.approx(0.75 / 2.25),
        "two": pytest.approx(ngrams.COUNTED * 0.5 / 2.25),
        "two stars": pytest.approx(ngrams.COUNTED * ngrams.LONGER * 0.5 / 2.25),
    }
    best = Phrase("red stars", ngrams.LONGER * ngrams.DESCRIBED, ("red", "star"))
    assert phrases(["red stars"])[0] == best


@pytest.mark.parametrize("captions", [[], [""], ["a photo of the background"], ["12 34", "!"]])
def test_captions_without_a_telling_word_give_no_label(captions: list[str]) -> None:
    assert labels(captions) == []


def test_words_about_the_picture_and_plurals_do_not_count() -> None:
    assert content("An image of 3 dogs, seen in the background") == ["dogs"]
    assert [singular(each) for each in ("stars", "wolves", "glass", "jeans", "gas", "is", "sandwiches")] == [
        "star",
        "wolf",
        "glass",
        "jeans",
        "gas",
        "is",
        "sandwich",
    ]


CLEAN = {
    "a red star": "a red star",
    "grill grill grill grill": "grill",
    "pald pald pald": "pald",
    "a dog on a dog on a dog on a bed": "a dog on a bed",
    "a man in a t - shirt": "a man in a t-shirt",
    "the dog ' s ear": "the dog's ear",
    "a star - stock photo": "a star",
    "royalty-free stock images of a star": "of a star",
    "a star | www.pictures.com": "a star",
    "a star with shutterstock watermark": "a star with",
    "  two\n spaces ": "two spaces",
    "! ! !": "",
    "1024": "",
    "": "",
}


@pytest.mark.parametrize(("text", "expected"), CLEAN.items())
def test_what_captioners_put_in_by_mistake_is_taken_out(text: str, expected: str) -> None:
    assert cleaned(text) == expected
    assert cleaned(cleaned(text)) == expected


def test_the_provider_gives_the_next_best_label_for_each_sample() -> None:
    rules, captions = find("rules"), drawn("texture", "striped", 3)
    asked = [prompts.find("summarise").request(captions, "en", Sampling(), sample=each) for each in range(5)]
    assert [rules.complete(each).text for each in asked] == labels(captions, 5)
    assert rules.facts() == {"kind": "rules", "version": ngrams.VERSION}


def test_where_there_are_fewer_labels_they_come_round_again() -> None:
    rules = find("rules")
    asked = [prompts.find("summarise").request(["zebra"], "en", Sampling(), sample=each) for each in range(3)]
    assert [rules.complete(each).text for each in asked] == ["zebra"] * 3


def test_the_provider_shortens_captions() -> None:
    rules, prompt = find("rules"), prompts.find("simplify")
    request = prompt.request(["a photo of three red stars stars stars in the night sky"], "en", Sampling())
    assert rules.complete(request).text == "three red stars night sky"
    assert rules.complete(prompt.request(["a photo"], "en", Sampling())).text == "a photo"


def test_rules_know_english_only() -> None:
    with pytest.raises(RequestRejected, match="they know English only, and the label is wanted in 'de'"):
        find("rules").complete(prompts.find("summarise").request(["a star"], "de", Sampling()))
