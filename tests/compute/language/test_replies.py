"""Of what a language model writes, a label is taken or a reason why there is none."""

from __future__ import annotations

import pytest

from belvedere.compute.language import languages
from belvedere.compute.language.messages import Reply
from belvedere.compute.language.replies import (
    Verdict,
    between_colons,
    first,
    judged,
    label,
    normalised,
    pieces,
    plain,
    said,
)
from belvedere.store.errors import UnknownName

CAPTIONS = ["a man in a red cap", "a red car on a road", "zebra"]


def verdict(text: str, language: str = "en", finish: str = "stop", captions: list[str] = CAPTIONS) -> Verdict:
    reply = Reply(text, finish)
    return judged(
        reply,
        first(plain(said(reply))),
        captions=captions,
        language=languages.find(language),
        words=8,
        copies=False,
    )


LABELS = {
    "red objects": "red objects",
    "Red Objects.": "Red Objects",
    '  "red objects"\n': "red objects",
    "“red objects”.": "red objects",
    "«red objects»": "red objects",
    "**Red objects**": "Red objects",
    "`red objects`": "red objects",
    "# Red objects": "Red objects",
    "1. red objects": "red objects",
    "(2) red objects": "red objects",
    "- red objects": "red objects",
    "• red objects": "red objects",
    "Label: red objects": "red objects",
    "label:red objects": "red objects",
    '**Label:** "red objects"': "red objects",
    "The label is: red objects": "red objects",
    'The best label would be "red objects".': "red objects",
    "Sure! Here is the label: red objects": "red objects",
    "Sure, red objects": "red objects",
    "Here is the label:\n\nred objects": "red objects",
    "<think>cars,\n\ncaps: red</think>\n\nred objects": "red objects",
    "red objects, cars, caps": "red objects",
    "red, shiny objects": "red shiny objects",
    "Theme: a: b": "a: b",
    "clock at 12:30": "clock at 12:30",
    "3D shapes": "3D shapes",
    "T-shirt": "T-shirt",
    "dog's ear": "dog's ear",
    "black & white": "black & white",
    "zebra": "zebra",
    "café au lait": "café au lait",
    "cafe\u0301": "café",
    "red   \t objects": "red objects",
    "🔴 red objects ⭐️": "red objects",
    "as an aircraft": "as an aircraft",
}


@pytest.mark.parametrize(("text", "expected"), LABELS.items())
def test_a_label_is_taken_out_of_what_stands_around_it(text: str, expected: str) -> None:
    assert verdict(text) == Verdict("ok", expected)


DECLINED = [
    "I'm sorry, but I can't help with that.",
    "I’m sorry",
    "I am very sorry, I cannot see the pictures",
    "Sorry, no.",
    "I cannot determine a common label",
    "I can’t",
    "I don't see any captions",
    "I'm unable to answer",
    "I am not able to answer",
    "I'm afraid that I can't",
    "We cannot say",
    "Unable to determine",
    "Cannot answer",
    "As an AI language model, I have no eyes",
    "Apologies, but no",
    "No captions were provided",
    "There is no common theme",
    "None",
    "N/A",
    "null",
    "unknown.",
    "I'm sorry.\nI can't.\nReally.",
    "<think>must refuse</think>I won't do this",
]


@pytest.mark.parametrize("text", DECLINED)
def test_a_model_that_declines_gives_no_label(text: str) -> None:
    found = verdict(text)
    assert (found.status, found.text) == ("refused", "")
    assert found.reason.startswith("the model declined: ")


@pytest.mark.parametrize("finish", ["content_filter", "refusal"])
def test_a_reply_that_was_filtered_gives_no_label(finish: str) -> None:
    assert verdict("", finish=finish).reason == f"the model declined: {finish}"
    assert verdict("red objects", finish=finish).status == "refused"


MALFORMED = {
    "": "it is empty",
    " \n ": "it is empty",
    "<think>hm</think>": "it is empty",
    '""': "it has no word: ",
    "red stars\n" * 50: "it has 50 lines: 'red stars ⏎ red stars ⏎ red stars ⏎ red stars ⏎ red stars ⏎…'",
    "red\nstars": "it has 2 lines: 'red ⏎ stars'",
    "these pictures all show something that is rather red": "it has 9 words, and 8 at most are a label: "
    "'these pictures all show something that is rather red'",
    "12345": "it has no word: '12345'",
    "?!": "it has no word: '?'",
    "red stars<|im_end|>": "it has marks that are no text: 'red stars<|im_end|>'",
    "[INST] red": "it has marks that are no text: '[INST] red'",
    "</s>": "it has marks that are no text: '</s>'",
    "red\x07": "it has marks that are no text: 'red\\x07'",
    "star star star": "it repeats a word: 'star star star'",
    "A man in a red cap.": "it repeats a caption: 'A man in a red cap'",
    "x" * 101: f"it has 101 characters: '{'x' * 59}…'",
    "красные звёзды": "it is not written in English: 'красные звёзды'",
    "红色的星星": "it is not written in English: '红色的星星'",
}


@pytest.mark.parametrize(("text", "reason"), MALFORMED.items(), ids=map(repr, MALFORMED))
def test_a_reply_that_is_no_label_says_why(text: str, reason: str) -> None:
    assert verdict(text) == Verdict("malformed", reason=reason)


def test_a_reply_that_was_cut_off_is_no_label() -> None:
    assert verdict("red sta", finish="length") == Verdict(
        "malformed", reason="it was cut off at max_tokens: 'red sta'"
    )
    assert verdict("", finish="length").reason == "it was cut off at max_tokens: not a word came"


def test_a_caption_that_most_pictures_have_is_no_copy() -> None:
    same = ["a man in a red cap"] * 6 + ["a dog"] * 4
    assert verdict("a man in a red cap", captions=same).status == "ok"
    assert verdict("a man in a red cap", captions=same[3:]).status == "malformed"


OTHERS = [
    ("de", "Rote Sterne", "ok"),
    ("de", "Es tut mir leid, das kann ich nicht.", "refused"),
    ("ru", "красные звёзды", "ok"),
    ("ru", "red stars", "malformed"),
    ("ru", "Извините, я не могу", "refused"),
    ("zh", "红色的星星", "ok"),
    ("zh", "标签：红色的星星。", "ok"),
    ("zh", "抱歉，我无法回答", "refused"),
    ("zh", "红色的星星" * 8, "malformed"),
    ("ja", "赤いTシャツ", "ok"),
    ("ko", "빨간 별", "ok"),
    ("ar", "نجوم حمراء", "ok"),
    ("el", "κόκκινα αστέρια", "ok"),
    ("hi", "लाल तारे", "ok"),
    ("en", "rote Sterne auf einem Strand", "malformed"),
    ("en", "des étoiles rouges sur la plage", "malformed"),
    ("en", "estrellas rojas en la playa", "malformed"),
    ("en", "crème brûlée", "ok"),
    ("de", "red stars on the beach", "malformed"),
    ("de", "Sterne in der Nacht", "ok"),
    ("fr", "étoiles dans la nuit", "ok"),
    ("it", "stelle rosse in una notte", "ok"),
    ("nl", "rode sterren in de nacht", "ok"),
    ("ru", "звёзды на пляже", "ok"),
    ("ru", "зірки під водою з піском", "malformed"),
]


@pytest.mark.parametrize(("language", "text", "status"), OTHERS)
def test_replies_in_other_languages_are_judged_too(language: str, text: str, status: str) -> None:
    assert verdict(text, language).status == status


def test_every_language_knows_its_own_writing_and_no_other() -> None:
    samples = {text: code for code, text, status in OTHERS if status == "ok"}
    for text, code in samples.items():
        written = {each for each in languages.known() if languages.find(each).written(plain(text))}
        assert code in written
        scripts = set(languages.find(code).scripts)
        assert all(scripts & set(languages.find(each).scripts) for each in written)


def test_a_language_that_is_not_known_is_refused() -> None:
    with pytest.raises(UnknownName, match=r"no language 'english'.*en English, de German"):
        languages.find("english")


def test_labels_are_compared_without_case_and_marks() -> None:
    assert normalised(' "Red  STARS". ') == normalised("red stars") == "red stars"
    assert label("Rote Sterne.", languages.find("de")) == "Rote Sterne"
    assert label("Red Stars.", languages.find("en")) == "red stars"


def test_the_released_rules_for_colons_and_commas() -> None:
    assert [between_colons(text) for text in ("a", "a: b", "a: b: c", "a:")] == ["a", "b", "b", ""]
    assert pieces("a, b ,, c.") == ("a", "b", "c")
    assert pieces("a") == ("a",)


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        ("As a responsible assistant, I must decline to describe this.", "refused"),
        ("Unfortunately I must decline.", "refused"),
        ('{"label": "red stars"}', "malformed"),
        ("an assistant in a shop", "ok"),
    ],
)
def test_what_declines_late_or_comes_in_brackets_is_no_label(reply: str, status: str) -> None:
    found = verdict(reply)
    assert found.status == status
