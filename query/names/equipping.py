"""What lets names stand for instruments: captioners, language models, painters and judges."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from ...store.sets import Captioner, Judge, Language, Painter

if TYPE_CHECKING:
    from ...compute.instruments.sources import Precision
    from ...store.registry import Kept
    from ..engine import Engine


class Equipping(ABC):
    """The part of a store that is about what neurons are described with."""

    @property
    @abstractmethod
    def _engine(self) -> Engine:
        """What every question shares."""

    def _add(self, kind: type[Kept], name: str, source: str, precision: Precision, replace: bool) -> Kept:
        from .adding import add_instrument

        return add_instrument(self._engine.folder, kind, name, source, precision, replace=replace)

    def add_captioner(
        self,
        name: str,
        source: str,
        *,
        precision: Precision = "float32",
        replace: bool = False,
    ) -> Captioner:
        """Let a name stand for a model that says what a picture shows.

        Args:
            name: Letters, digits, "_", "-" and ".".
            source: `hf:` and a repository or folder of an image-to-text model of transformers (BLIP, BLIP-2
                and others), or `demo:captioner`.
            precision: The data type to compute in; part of the identity of what it says.
            replace: Let the name stand for something else than before; what was computed stays.

        Raises:
            UnknownName: There is no such kind of source.
            BadSource: It is no such model.
            NameTaken: The name stands for another one.
        """
        return self._add(Captioner, name, source, precision, replace)

    def add_language(
        self,
        name: str,
        source: str,
        *,
        precision: Precision = "float32",
        replace: bool = False,
    ) -> Language:
        """Let a name stand for a language model, which finds words for what captions have in common.

        Args:
            name: Letters, digits, "_", "-" and "."
            source: `openai:` and a model's name at an OpenAI-compatible endpoint (OPENAI_BASE_URL, with the
                key in OPENAI_API_KEY, which is never stored), `hf:` and a repository or folder of a chat
                model of transformers, `replay:` and a file of recorded replies, or `rules`, which needs none.
            precision: The data type in which a model of transformers computes.
            replace: Let the name stand for something else than before; what was computed stays.

        Raises:
            UnknownName: There is no such kind of source.
            BadSource: It is no such model.
            NameTaken: The name stands for another one.
        """
        return self._add(Language, name, source, precision, replace)

    def add_painter(
        self,
        name: str,
        source: str,
        *,
        precision: Precision = "float32",
        replace: bool = False,
    ) -> Painter:
        """Let a name stand for a model that paints pictures from texts.

        Args:
            name: Letters, digits, "_", "-" and "."
            source: `diffusers:` and a repository or folder of a text-to-image pipeline, or `demo:painter`.
            precision: The data type to compute in; part of the identity of what it paints.
            replace: Let the name stand for something else than before; what was painted stays.

        Raises:
            UnknownName: There is no such kind of source.
            BadSource: It is no such pipeline.
            NameTaken: The name stands for another one.
        """
        return self._add(Painter, name, source, precision, replace)

    def add_judge(
        self,
        name: str,
        source: str,
        *,
        precision: Precision = "float32",
        replace: bool = False,
    ) -> Judge:
        """Let a name stand for a model that says how near two texts are in meaning.

        Args:
            name: Letters, digits, "_", "-" and ".".
            source: `sentences:` and a repository or folder of a sentence encoder of sentence-transformers; or
                `bertscore:` and one of a language model, with `#` and the layer to compare where bert-score
                does not know it by its name.
            precision: The data type to compute in; BERTScore takes float32 alone.
            replace: Let the name stand for something else than before; what was judged stays.

        Raises:
            UnknownName: There is no such kind of source.
            BadSource: It is no such model.
            MissingExtra: The extra `judges` is not installed, which BERTScore's layers are told by.
            NameTaken: The name stands for another one.
        """
        return self._add(Judge, name, source, precision, replace)
