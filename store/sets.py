"""What a registered name stands for: a model, an ordered set of images, an ordered set of texts."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from . import digest
from .errors import UnknownName, UnsuitableModule, UnsupportedTower

if TYPE_CHECKING:
    import pyarrow as pa


SIDES: Final = ("image", "text")
"""The sides of a model: what images go through, and what texts do."""
Grade = Literal["heads", "pool-heads", "positions"]
"""How far a tower is taken apart: all attention heads; the heads of its last, pooling layer; or the places
and blocks of channels of its last map."""


@dataclass(frozen=True, slots=True)
class TowerShape:
    """The sizes of a tower, and how far it is taken apart."""

    layers: int
    """Residual attention blocks; 1 where only what is pooled is taken apart."""
    heads: int
    """Attention heads in each; blocks of channels where there are none."""
    head_dim: int
    """Numbers that are kept for each head: the width of its value vector, or `joint` where it is `dense`."""
    width: int
    """Width of the residual stream, or of the last map."""
    joint: int
    """Width of the space that images and texts share."""
    tokens: int
    """Tokens of one image, those that lie nowhere in it included; places of the last map."""
    grade: Grade = "heads"
    """How far it is taken apart."""
    prefix: int = 1
    """Tokens before those of the patches: the class token, registers, the mean of a map."""
    varying: tuple[str, ...] = ()
    """Terms beside heads and MLPs that differ by input by more than its scale, in their order."""
    dense: bool = False
    """Whether heads are read by several heads of a pooling attention, so that what each adds is kept itself,
    and not a factor of it."""
    last_norm: bool = True
    """Whether a LayerNorm, with a bias, is the last or the last before the projection."""
    projection_bias: bool = False
    """Whether what ends the tower adds a bias of its own."""
    grid: tuple[int, int] | None = None
    """Rows and columns of its patches, or of the places of its last map; None where there are none."""

    @property
    def components(self) -> int:
        """The number T = 2L + 1 of attention layers, MLPs and the embedding, who share ln_post's mean."""
        return 2 * self.layers + 1

    @property
    def is_plain(self) -> bool:
        """Whether it is one of open_clip's own vision transformers, whose class token is pooled."""
        return self.grade == "heads" and not self.varying

    @property
    def shares_norm(self) -> bool:
        """Whether one LayerNorm ends the stream, whose mean and bias could be split over the components."""
        return self.grade == "heads" and not self.dense and self.varying in ((), ("embedding",))


@dataclass(frozen=True, slots=True)
class Module:
    """One module of a model, as it runs while an image or a text goes through."""

    kind: str
    """The name of its class."""
    shape: tuple[int, ...]
    """The shape of its output for one input; empty where that is not one tensor with an axis of inputs."""
    image_axis: int
    """The place of the axis of images, or of texts, in the output of a batch."""
    calls: int
    """How often it runs in one forward pass."""
    problem: str | None
    """Why its activations cannot be taken, where they cannot."""


@dataclass(frozen=True, eq=False)
class Model:
    """A registered model, identified by the digests of its weights, preprocessing and precision."""

    column: ClassVar[str] = "model"

    name: str
    """The name it was given."""
    source: str
    """Where it is loaded from, such as `open_clip:ViT-B-16/laion2b_s34b_b88k`."""
    checkpoint: str | None
    """A local checkpoint file, where one was named."""
    precision: Literal["float32", "float16", "bfloat16"]
    """The data type in which it computes."""
    tower: TowerShape | None
    """The sizes of its vision tower, where that is one that is decomposed."""
    modules: Mapping[str, Module] = field(repr=False)
    """The modules that run while an image goes through, by dotted name, in the order of the model."""
    image: Mapping[str, Any]
    """Facts that its image side is identified by: weights, architecture, preprocessing."""
    text: Mapping[str, Any]
    """Facts that its text side is identified by: weights, architecture, tokenizer; none where it has none."""
    libraries: Mapping[str, str]
    """Versions of the libraries it was registered with; recorded, never hashed."""
    note: str | None = None
    """What was noted where it came from; recorded, never hashed."""
    formerly: tuple[str, ...] = ()
    """Names that it had before it was renamed."""
    text_modules: Mapping[str, Module] = field(default_factory=dict, repr=False)
    """The modules that run while a text goes through, by dotted name, in the order of the model."""
    untaken: str = ""
    """Why its vision tower is not taken apart, where it is not; it is here for its modules' activations."""

    @property
    def imported(self) -> Mapping[str, Any] | None:
        """What an import is identified by, and said to hold; None for a model that can run.

        `file` (a SHA-256), `key`, `shape`, `dtype`, `images` (the digest of the images in its rows), and
        `activations` (a module) with `pool`, or `contributions` (a kind) with `convention`.
        """
        return self.image.get("imported")

    @property
    def shape(self) -> TowerShape:
        """The sizes of its vision tower; `UnsupportedTower` where that is not one that is decomposed."""
        if self.tower is None:
            why = f"it was imported ({self.source})" if self.imported else self.untaken
            raise UnsupportedTower(self.name, why)
        return self.tower

    def module(self, name: str) -> Module:
        """Give a module that runs while an image goes through; `UnknownName` with the nearest one."""
        if name in self.text_modules:
            raise _of_the_other_tower(name, "a text goes through: see text_neuron_activations")
        return self._one(self.modules, name, "an image")

    def text_module(self, name: str) -> Module:
        """Give a module that runs while a text goes through; `UnknownName` with the nearest one."""
        if name in self.modules:
            raise _of_the_other_tower(name, "an image goes through: see neuron_activations")
        return self._one(self.text_modules, name, "a text")

    def _one(self, there: Mapping[str, Module], name: str, what: str) -> Module:
        if name not in there:
            kind = f"module of model {self.name!r} that runs when {what} goes through"
            raise UnknownName(kind, name, there, f"belvedere show {self.name} lists all {len(there)}")
        return there[name]

    def identity(self, side: Literal["image", "text"]) -> dict[str, Any]:
        """Give the facts that everything computed with one side of the model is identified by."""
        return {**(self.image if side == "image" else self.text), "precision": self.precision}


def _of_the_other_tower(name: str, when: str) -> UnsuitableModule:
    return UnsuitableModule(name, f"it runs while {when}", "ask for that, or take another module")


@dataclass(frozen=True, eq=False)
class Clip(Model):
    """A registered model of images and texts, by which pictures and words are compared."""

    @property
    def facts(self) -> dict[str, Any]:
        """All that identifies it: both of its sides."""
        return {"image": self.identity("image"), "text": self.identity("text")}


@dataclass(frozen=True, eq=False)
class Other(Clip):
    """A registered model whose heads another's are compared with; it need not embed texts."""


@dataclass(frozen=True, eq=False)
class Instrument:
    """A registered model that a stage of a method works with: it captions, writes or paints."""

    name: str
    """The name it was given."""
    source: str
    """Where it is loaded from, such as `hf:Salesforce/blip-image-captioning-base`."""
    facts: Mapping[str, Any]
    """What it is identified by: digests of its weights and settings; of a remote one, its name there."""
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    """The data type in which it computes."""
    formerly: tuple[str, ...] = ()
    """Names that it had before it was renamed."""

    @property
    def key(self) -> str:
        """The digest of all that identifies it."""
        return digest.key_of({**self.facts, "precision": self.precision})


@dataclass(frozen=True, eq=False)
class Captioner(Instrument):
    """Says in a sentence what a picture shows."""


@dataclass(frozen=True, eq=False)
class Language(Instrument):
    """A language model, which finds words for what captions have in common."""


@dataclass(frozen=True, eq=False)
class Painter(Instrument):
    """Paints pictures from texts."""


@dataclass(frozen=True, eq=False)
class Judge(Instrument):
    """Says how near two texts are in meaning."""


@dataclass(frozen=True, eq=False)
class OrderedSet(ABC):
    """What sets of images and of texts have in common: entries in an order, identified by their contents."""

    name: str
    """The name it was given."""
    source: str
    """What it was made from, as the user wrote it."""
    entries: pa.Table
    """One row an entry: see `store/registry.py` for the columns."""
    formerly: tuple[str, ...] = ()
    """Names that it had before it was renamed."""

    def __len__(self) -> int:
        return int(self.entries.num_rows)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of some of the entries in order; it is made once."""
        if (start, stop) not in self._contents:
            self._contents[start, stop] = digest.of_sequence(self.identities[start:stop])
        return self._contents[start, stop]

    @property
    def all_contents(self) -> str:
        """The digest of all entries in order."""
        return self.contents(0, len(self))

    @property
    @abstractmethod
    def identities(self) -> list[str]:
        """What identifies each entry, in order."""

    @cached_property
    def _contents(self) -> dict[tuple[int, int], str]:
        return {}


CONCEPTS = "mask_concepts"
"""The column that says as JSON what each number in an image's mask stands for; null where it was not said."""
MASK = ("mask", "mask_digest", CONCEPTS)
"""The columns that the entries of a set have beside its own where some images have masks."""


@dataclass(frozen=True, eq=False)
class ImageSet(OrderedSet):
    """An ordered set of images; a position is never used again for another image."""

    column: ClassVar[str] = "image_set"

    @cached_property
    def identities(self) -> list[str]:
        """The digests of the images' bytes, in order."""
        return [str(each) for each in self.entries["digest"].to_pylist()]

    def path(self, image_id: int) -> str:
        """Give where an image lies."""
        return str(self.entries["path"][image_id].as_py())

    @cached_property
    def masks(self) -> list[tuple[str, str] | None]:
        """Where the mask of each image lies, with the digest of its bytes; None where it has none."""
        if MASK[0] not in self.entries.column_names:
            return [None] * len(self)
        found = zip(*(self.entries[name].to_pylist() for name in MASK[:2]), strict=True)
        return [None if path is None else (path, sha256) for path, sha256 in found]

    @cached_property
    def mask_concepts(self) -> list[Mapping[int, str] | None]:
        """What each number in the mask of an image stands for; None where that was not said."""
        if CONCEPTS not in self.entries.column_names:
            return [None] * len(self)
        column = self.entries[CONCEPTS].combine_chunks().dictionary_encode()
        known = [
            {int(number): str(concept) for number, concept in json.loads(each).items()}
            for each in map(str, column.dictionary.to_pylist())
        ]
        return [None if place is None else known[place] for place in column.indices.to_pylist()]


@dataclass(frozen=True, eq=False)
class TextSet(OrderedSet):
    """An ordered set of texts, each with a category where it has one."""

    column: ClassVar[str] = "text_set"

    @cached_property
    def texts(self) -> list[str]:
        """The texts in order."""
        return [str(text) for text in self.entries["text"].to_pylist()]

    @cached_property
    def known(self) -> frozenset[str]:
        """The texts, to look one up."""
        return frozenset(self.texts)

    @property
    def identities(self) -> list[str]:
        """The texts themselves."""
        return self.texts

    @cached_property
    def categories(self) -> list[str | None]:
        """The categories in order, None where there is none."""
        return list(self.entries["category"].to_pylist())

    @cached_property
    def classes(self) -> dict[str, list[int]]:
        """The texts of each class by their places; a class is a category, or a text that has none."""
        found: dict[str, list[int]] = {}
        for place, (text, category) in enumerate(zip(self.texts, self.categories, strict=True)):
            found.setdefault(category or text, []).append(place)
        return found


@dataclass(frozen=True, eq=False)
class NamedTexts(TextSet):
    """A registered set of texts that is a parameter's value: all of it identifies what is made with it."""

    word: ClassVar[str]
    """What its digest is called in a recipe."""

    @cached_property
    def facts(self) -> dict[str, Any]:
        """All that identifies it: its texts and their categories, in order."""
        said = zip(self.texts, self.categories, strict=True)
        return {self.word: digest.of_sequence(f"{category or ''}\t{text}" for text, category in said)}


@dataclass(frozen=True, eq=False)
class References(NamedTexts):
    """A registered set of texts that say what neurons really are."""

    word: ClassVar[str] = "references"


@dataclass(frozen=True, eq=False)
class MethodLabels:
    """The best labels that imports give the neurons of a module, by one method."""

    name: str
    """The method, as it was called when its labels were imported."""
    rows: pa.Table
    """A row for each neuron of which they say something, in order: neuron, rank, label, score, score_name,
    status; the label is null where none can be used."""
    imports: Mapping[str, Mapping[str, Any]]
    """The imports that they are from, with what is known of each."""


@dataclass(frozen=True, eq=False)
class Classes(NamedTexts):
    """A registered set of texts that stands for the classes of a zero-shot classifier."""

    word: ClassVar[str] = "classes"
