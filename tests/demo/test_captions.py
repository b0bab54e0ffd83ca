"""Captions and the description pool."""

import re
from collections import Counter

from belvedere.demo.captions import prompt, sentence
from belvedere.demo.descriptions import DISTRACTORS, descriptions
from belvedere.demo.dice import Dice
from belvedere.demo.tokenizer import CONTEXT_LENGTH, build_tokenizer
from belvedere.demo.words import FORMS, VALUES


def _without_values(text: str, category: str) -> str:
    """Replace whatever names a value of the category, longest names first, and the article before it."""
    forms = FORMS[category].values() if category in FORMS else ()
    names = {name for several in forms for form in several for name in form.values()}
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"\b(an? )?{re.escape(name)}\b", "_", text)
    return text


def test_prompts_are_plain_sentences() -> None:
    assert [prompt(name, values[0]) for name, values in VALUES.items()] == [
        "a picture with circles",
        "a picture with red shapes",
        "a picture with one shape",
        "a picture with plain shapes",
        "a picture with shapes on grass",
    ]


def test_a_sentence_names_just_what_it_is_given() -> None:
    texts = {sentence({"colour": "orange", "number": "1"}, Dice(index)) for index in range(200)}
    assert len(texts) > 20
    for text in texts:
        assert re.search("orange|tangerine", text)
        assert re.search("one|single", text)
        assert not re.search("star|dot|grass", text)
        assert "  " not in text
        assert text == text.strip()


def test_articles_fit_the_next_word() -> None:
    texts = [text for text, _ in descriptions()] + [
        sentence({"colour": "orange"}, Dice(i)) for i in range(50)
    ]
    assert [text for text in texts if re.search(r"\ba (?!one|uni)[aeiou]|\ban [^aeioux]", text)] == []
    assert "an orange object" in texts


def test_the_pool_has_distinct_texts_in_six_categories() -> None:
    pool = descriptions()
    assert len(pool) >= 300
    assert len({text.lower() for text, _ in pool}) == len(pool)
    counts = Counter(category for _, category in pool)
    assert counts == {
        "shape": 104,
        "colour": 112,
        "number": 52,
        "texture": 52,
        "background": 72,
        "distractor": len(DISTRACTORS),
    }


def test_no_wording_supplies_more_than_a_twentieth_of_the_pool() -> None:
    pool = descriptions()
    wordings = Counter(_without_values(text, category) for text, category in pool)
    assert wordings["a picture with _ shapes"] >= 8
    assert max(wordings.values()) <= 0.05 * len(pool)


def test_every_description_of_a_scene_is_in_the_vocabulary() -> None:
    tokenizer = build_tokenizer()
    for text, _ in descriptions():
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.unk_token_id not in ids, text
        assert len(ids) <= CONTEXT_LENGTH


def test_distractors_name_no_value() -> None:
    nouns = {
        word
        for category in ("shape", "colour", "texture", "background")
        for several in FORMS[category].values()
        for form in several
        for word in form.values()
    }
    for text in DISTRACTORS:
        assert not nouns & set(text.split()), text
