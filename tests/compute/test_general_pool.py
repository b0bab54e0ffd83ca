"""The general pool is large, clean, varied, evenly spread over its categories."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterable

from belvedere.compute import pools

PROMISED = {
    *("animals", "art_styles", "camera", "clothing", "colours", "counts", "countries", "emotions", "events"),
    *("food", "light", "materials", "people", "places", "plants", "scenes", "shapes", "text", "textures"),
    *("vehicles", "weather"),
}
ARTICLES = ("a ", "an ", "the ")
FUNCTION_WORDS = {
    *("a", "an", "the", "and", "of", "in", "on", "at", "with", "to", "from", "by", "for"),
    *("over", "under", "through", "into", "out", "up", "down", "behind", "between"),
}


def frames(text: str) -> set[str]:
    """Every wording that `text` fills by putting something into one slot: two or more words stay."""
    words = text.lower().split()
    ends = ((head, tail) for head in range(len(words)) for tail in range(len(words) - head))
    return {
        " ".join([*words[:head], "_", *words[len(words) - tail :]]) for head, tail in ends if head + tail >= 2
    }


def content_words(text: str) -> set[str]:
    return set(text.lower().split()) - FUNCTION_WORDS


def most_frequent(bags: Iterable[set[str]]) -> tuple[str, int]:
    return Counter(part for bag in bags for part in bag).most_common(1)[0]


def largest_share(texts: list[str]) -> float:
    """Share of the texts that agree in their commonest one-slot wording or their commonest content word."""
    _, framed = most_frequent(map(frames, texts))
    _, worded = most_frequent(map(content_words, texts))
    return max(framed, worded) / len(texts)


def bare(text: str) -> str:
    """Lower-case `text` without a leading article: what makes two descriptions the same."""
    lowered = text.lower()
    return next(
        (lowered.removeprefix(article) for article in ARTICLES if lowered.startswith(article)), lowered
    )


def test_a_text_fills_each_wording_that_keeps_two_words_at_its_ends() -> None:
    assert frames("a photo of Spain") == {
        *("a photo _", "a photo of _", "_ of spain", "_ photo of spain"),
        *("a _ spain", "a photo _ spain", "a _ of spain"),
    }


def test_templates_are_noticed_wherever_their_slots_are() -> None:
    plain = [text for text, _ in pools.general()][:900]
    for template in ("an image of {}", "{} in pastel style", "the {} seen at dusk", "some {} artwork by {}"):
        templated = [template.format(f"thing{i}", f"name{i}") for i in range(100)]
        assert largest_share(plain + templated) >= 0.1


def test_the_pool_holds_over_two_thousand_descriptions() -> None:
    assert len(pools.general()) == 2231


def test_no_description_occurs_twice_whatever_its_case_or_article() -> None:
    counts = Counter(bare(text) for text, _ in pools.general())
    assert [text for text, count in counts.items() if count > 1] == []


def test_every_promised_category_is_there_with_at_least_forty_texts() -> None:
    sizes = Counter(category for _, category in pools.general())
    assert sorted(PROMISED - sizes.keys()) == []
    assert len(sizes) == 38
    assert {category: size for category, size in sizes.items() if size < 40} == {}


def test_no_category_is_more_than_a_twentieth_of_the_pool() -> None:
    pool = pools.general()
    sizes = Counter(category for _, category in pool)
    assert {category: size for category, size in sizes.items() if size > len(pool) / 20} == {}


def test_rows_are_sorted_by_category() -> None:
    categories = [category for _, category in pools.general()]
    assert categories == sorted(categories)


def test_category_names_are_lower_case_words_joined_by_underscores() -> None:
    names = {category for _, category in pools.general()}
    assert [name for name in names if not name.replace("_", "").isalpha() or name != name.lower()] == []


def test_texts_are_plain_ascii_without_stray_spaces_or_closing_punctuation() -> None:
    texts = [text for text, _ in pools.general()]
    assert [text for text in texts if not (text.isascii() and text.isprintable())] == []
    assert [text for text in texts if text != " ".join(text.split())] == []
    assert [text for text in texts if not (text[0].isalnum() and text[-1].isalnum())] == []


def test_texts_have_two_to_fourteen_words() -> None:
    assert [text for text, _ in pools.general() if not 2 <= len(text.split()) <= 14] == []


def test_no_wording_supplies_more_than_a_twentieth_of_the_pool() -> None:
    assert largest_share([text for text, _ in pools.general()]) <= 0.05


def test_openings_and_endings_vary() -> None:
    texts = [text.lower().split() for text, _ in pools.general()]
    for length in (2, 3):
        for part in (slice(None, length), slice(-length, None)):
            _, count = Counter(tuple(words[part]) for words in texts).most_common(1)[0]
            assert count <= len(texts) / 20


def test_reading_the_pool_loads_no_heavy_library() -> None:
    script = "import sys; from belvedere.compute import pools; pools.general(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert {"numpy", "pandas", "pyarrow", "torch", "duckdb"} & set(done.stdout.split()) == set()
