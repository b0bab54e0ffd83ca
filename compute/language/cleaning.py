"""Captions without what captioners put in by mistake: loops, marks of picture agencies, split hyphens."""

from __future__ import annotations

import re

from ..instruments.caption_text import clean
from .replies import tidied

_SITE = re.compile(r"\b(?:https?://\S+|www\.\S+|\w+\.(?:com|net|org)\b)", re.IGNORECASE)
_AGENCY = re.compile(
    r"\b(?:royalty[ -]free|stock (?:photos?|images?|vectors?|illustrations?|pictures?)|(?:free )?clip ?art"
    r"|free vectors?|(?:\w+ )?watermarks?|shutterstock|getty images?|istock(?:photo)?|dreamstime|alamy)\b",
    re.IGNORECASE,
)
_EDGE = re.compile(r"\A[\s,.;:|–—-]+|[\s,;:|–—-]+\Z")


def cleaned(caption: str) -> str:
    """Give a caption as it should have been written; empty where nothing is left.

    >>> cleaned("a grill grill grill grill on a t - shirt")
    'a grill on a t-shirt'
    >>> cleaned("a red star, a red star, a red star | stock photo www.example.com")
    'a red star'
    """
    text, before = tidied(caption), ""
    while text != before:
        before = text
        for pattern in (_SITE, _AGENCY):
            text = pattern.sub(" ", text)
        text = _EDGE.sub("", tidied(clean(text)))
    return text if any(c.isalpha() for c in text) else ""
