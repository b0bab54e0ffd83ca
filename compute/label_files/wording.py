"""From the text in a file to a label that can be compared with others, and what kind of answer it is."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

Status = Literal["ok", "blank", "refusal", "duplicate", "group"]
"""What a label is: fine, nothing, a language model's excuse, the same again, or of several neurons."""
_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019"}
_REFUSAL = re.compile(
    r"^sorry,|\b(i['\u2019]m|i am) (sorry|unable|not able)\b|\bi can(['\u2019]?t|not)\b|\bapologi[sz]e"
    r"|\bas an ai\b|\b(un|not )able to (determine|identify|provide)\b"
    r"|\bcannot (be )?(determine|identif|provide)|\b(not enough|insufficient) (information|context|data)\b",
    re.IGNORECASE,
)


def worded(raw: str) -> str | None:
    r"""Give the label in a text: one line, composed characters, no quotes around it, no full stop.

    None where nothing is left. Words such as "null", "nan" and "n/a" are words.

    >>> worded(' "Red and\n white objects." '), worded("nan"), worded(" ")
    ('Red and white objects', 'nan', None)
    """
    text = " ".join(unicodedata.normalize("NFC", raw).split())
    if len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
        text = text[1:-1].strip()
    if text.endswith(".") and not text.endswith(".."):
        text = text[:-1].rstrip()
    return text or None


def is_refusal(text: str) -> bool:
    """Tell whether a text is a language model's excuse; its words decide, so this can err.

    >>> is_refusal("I cannot determine a concept"), is_refusal("dogs that are running")
    (True, False)
    """
    return _REFUSAL.search(text) is not None
