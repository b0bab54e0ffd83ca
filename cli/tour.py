"""What the demo shows: names, a fill, roles, descriptions, SQL against the truth, a picture."""

from __future__ import annotations

import os
import shlex
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..store.errors import NameTaken
from .failing import say_why
from .layout import layout, width

if TYPE_CHECKING:
    from ..query.lazy.view import Lazy
    from ..query.seeing.heads import Agreement, Described, Head, Names
    from ..query.store import Store

LAYERS, HEADS, TEXTS = 6, 3, 4
"""At most so many last layers, heads, and texts of each head are printed."""
DESCRIBED = (3, 8, 25)
"""Neurons of the demo's classifier that are described: those for stars, red things and sand."""
JUDGED = 5
"""So many heads are held against what is known of the images; the one that it fits best is printed."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What the tour is about, and the names that it goes by."""

    model: str = "demo:clip"
    """A model's source."""
    images: str = "demo:scenes"
    """An image set's source."""
    texts: str = "demo:scenes"
    """A text set's source."""

    @property
    def names(self) -> Names:
        """The names that these are added under."""
        from ..query.seeing.heads import Names

        model = "clip" if self.model == "demo:clip" else "model"
        images, texts = (
            "scenes" if each == "demo:scenes" else what
            for each, what in ((self.images, "images"), (self.texts, "texts"))
        )
        return Names(model, images, texts)


def tour(folder: Path, sources: Sources, picture: Path) -> bool:
    """Fill a store and show what is in it; tells whether everything could be computed."""
    from ..query.seeing.heads import clear_heads
    from ..query.store import Store

    store = Store(folder)
    names = sources.names
    _add(store, sources, names)
    if not _fill(store, names):
        return False
    _roles(store, names)
    heads = clear_heads(store, names, JUDGED)
    _descriptions(store, names, heads[:HEADS])
    _ask(store, names)
    _truth(store, names, heads)
    if not _pictures(store, names) or not _neurons(store, names):
        return False
    if sources == Sources() and not _labels(store, names):
        return False
    _picture(store, names, picture, 10 if sources == Sources() else 9)
    return True


def _add(store: Store, sources: Sources, names: Names) -> None:
    _chapter("1. Names", "A model, images and texts are added to a store, a folder, under names.")
    model = store.add_model(names.model, sources.model, replace=True)
    shape = model.shape
    click.echo(f"  model   {names.model:8} {sources.model}: {shape.layers} layers of {shape.heads} heads")
    count = _read_images(store, names.images, sources.images)
    click.echo(f"  images  {names.images:8} {sources.images}: {count:,}")
    texts = store.add_texts(names.texts, sources.texts, replace=True)
    click.echo(f"  texts   {names.texts:8} {sources.texts}: {texts.count:,}, each of a category")


def _read_images(store: Store, name: str, source: str) -> int:
    """Add what the source has gained; let the name stand for it where it stood for something else."""
    from .add import Reading

    with Reading() as tick:
        try:
            return store.add_images(name, source, tick=tick).count
        except NameTaken:
            return store.add_images(name, source, replace=True, tick=tick).count


def _fill(store: Store, names: Names) -> bool:
    from ..query.progress import Bar

    _chapter(
        "2. Views",
        "A view is an array or a table that follows from those. To know the roles of the model's heads, it "
        "takes what each head adds to each image's embedding, its moments over the images, and the texts "
        "that describe it. Each is kept once it is computed. To run:",
    )
    roles = store.view("head_roles", model=names.model, images=names.images, texts=names.texts)
    click.echo(textwrap.indent(str(roles.plan()), "  "))
    report = roles.fill(progress=Bar())
    if not report.filled:
        click.echo("  Everything is reused from an earlier run.")
    elif report.complete:
        click.echo(
            f"  {report.filled} units are filled and kept in {store.path.name}; a second run reuses them."
        )
    if report.absent:
        click.echo(f"  {report.absent} images or texts were left out: belvedere errors says why", err=True)
    if not report.complete:
        say_why(report)
    return bool(report.complete)


def _roles(store: Store, names: Names) -> None:
    _chapter(
        "3. Roles",
        "CLIP's image embedding is the sum of what its heads add. TextSpan finds the texts along which a "
        "head's part varies most; where more of them come from one category than chance explains, that is "
        "the head's role, here with the share of the head's variance along it. A dot: no such category.",
    )
    query = (
        "SELECT layer, head, role, score, p_value, runner_up FROM head_roles\n"
        f"WHERE model = '{names.model}' AND image_set = '{names.images}' AND text_set = '{names.texts}'"
    )
    rows = store.sql(f"{query} ORDER BY layer, head").fetchall()
    layers = sorted({row[0] for row in rows})[-LAYERS:]
    grid = [[f"layer {layer}", *(_role(row) for row in rows if row[0] == layer)] for layer in layers]
    heads = [f"head {head}" for head in range(len(grid[0]) - 1)]
    _table(["", *heads], grid)
    _typed(store, query)


def _role(row: Sequence[Any]) -> str:
    return "·" if row[2] == "none" else f"{row[2]} {100 * row[3]:.0f} %"


def _descriptions(store: Store, names: Names, heads: Sequence[Head]) -> None:
    from ..query.seeing.heads import descriptions

    _chapter(
        "4. Descriptions",
        "The texts that say most of what three heads write, with the share of the head's variance that each "
        "explains after those before it.",
    )
    rows = [
        (f"{head.title}: {head.about}" if rank == 0 else "", each.description, f"{100 * each.variance:.0f} %")
        for head in heads
        for rank, each in enumerate(descriptions(store, names, head, TEXTS))
    ]
    _table(["head", "description", "variance"], rows)


def _ask(store: Store, names: Names) -> None:
    _chapter(
        "5. SQL",
        "Tables join. Of each head's first ten descriptions: how many are of one category, and what share of "
        "the head's variance do those explain?",
    )
    query = (
        "SELECT layer, head, category, count(*) AS of_ten, sum(variance) AS variance\n"
        "FROM head_descriptions JOIN texts USING (text_set, text_id)\n"
        f"WHERE model = '{names.model}' AND image_set = '{names.images}' AND text_set = '{names.texts}'\n"
        "AND rank < 10 "
        "GROUP BY ALL ORDER BY variance DESC LIMIT 6"
    )
    _answer(store, query)


def _truth(store: Store, names: Names, heads: Sequence[Head]) -> None:
    from ..query.seeing.heads import agreement, descriptions, projections

    held: list[tuple[Agreement, Head, Described]] = []
    for head in heads:
        for said in descriptions(store, names, head, 1):
            found = agreement(store, names, projections(store, names, head, said.text_id))
            held += [(found, head, said)] if found else []
    if not held:
        return
    best, head, said = max(held, key=lambda each: each[0].explained)
    _chapter(
        "6. Truth",
        f"What {head.title} adds to each image, projected on its first description, “{said.description}”: "
        f"its mean for each {best.column} that the images are known to have, in standard deviations.",
    )
    _table([best.column, "mean"], [(name, f"{mean:+.2f}") for name, mean in best.means[:10]])
    click.echo()
    for line in _python(names, head, said, best.column):
        click.echo(f"    {line}")


def _pictures(store: Store, names: Names) -> bool:
    _chapter(
        "7. Pictures",
        "The ten images to which each head adds most along its first description: how many of them are of "
        "one label, or for a head that is about the background of one group?",
    )
    if not _filled(store.view("head_top_images", model=names.model, images=names.images, texts=names.texts)):
        return False
    query = (
        "SELECT layer, head, role, direction,\n"
        "  if(role = 'background', grp, label) AS known, count(*) AS of_10\n"
        "FROM head_roles JOIN head_top_images USING (model, image_set, text_set, layer, head)\n"
        "JOIN head_descriptions d USING (model, image_set, text_set, layer, head)\n"
        "JOIN images USING (image_set, image_id)\n"
        f"WHERE model = '{names.model}' AND image_set = '{names.images}' AND text_set = '{names.texts}'\n"
        "AND role <> 'none' AND d.rank = 0 AND direction = description AND head_top_images.rank >= 0\n"
        "GROUP BY ALL ORDER BY of_10 DESC, layer DESC, head LIMIT 5"
    )
    _answer(store, query)
    return True


def _neurons(store: Store, names: Names) -> bool:
    modules = store.model(names.model).modules
    module = [name for name in modules if name.endswith(".mlp.gelu")][-1]
    _chapter(
        "8. Neurons",
        f"The same for neurons, here those of {module}: of the 20 images that activate each most, how many "
        "are of one label? The five neurons with most:",
    )
    table = store.view("top_images", model=names.model, images=names.images, module=module)
    if not _filled(table):
        return False
    query = (
        "SELECT neuron, label, count(*) AS of_20, avg(activation) AS activation\n"
        "FROM top_images JOIN images USING (image_set, image_id)\n"
        f"WHERE model = '{names.model}' AND image_set = '{names.images}' AND module = '{module}'\n"
        "GROUP BY ALL ORDER BY of_20 DESC, activation DESC LIMIT 5"
    )
    _answer(store, query)
    return True


def _labels(store: Store, names: Names) -> bool:
    _chapter(
        "9. Neurons in words",
        "A small classifier of the scenes has a last neuron for each shape, colour, number, texture and "
        "background. Three of them are described: their images are captioned, the captions become "
        "candidates, these are painted, and the neuron judges the paintings. Beside that, two methods that "
        "need no captions:",
    )
    store.add_model("net", "demo:classifier", replace=True)
    store.add_captioner("blip", "demo:captioner", replace=True)
    store.add_painter("sd", "demo:painter", replace=True)
    asked = {"model": "net", "images": names.images, "module": "fc"}
    described = store.view("neuron_labels", **asked).where(f"neuron IN ({', '.join(map(str, DESCRIBED))})")
    others = [
        store.view("neuron_labels", method="invert", **asked),
        store.view("neuron_labels", method="clip_dissect", texts=names.texts, **asked),
    ]
    if not all(map(_filled, (described, *others))):
        return False
    query = (
        "SELECT neuron, method, label, score, status FROM neuron_labels\n"
        f"WHERE model = 'net' AND image_set = '{names.images}' AND module = 'fc'\n"
        "AND method IN ('describe_and_dissect', 'clip_dissect', 'invert')\n"
        f"AND neuron IN ({', '.join(map(str, DESCRIBED))}) AND rank = 0 ORDER BY neuron, method"
    )
    _answer(store, query)
    return True


def _filled(view: Lazy[Any]) -> bool:
    """Fill a view, with a bar."""
    from ..query.progress import Bar

    report = view.fill(progress=Bar())
    if not report.complete:
        say_why(report)
    return bool(report.complete)


def _python(names: Names, head: Head, said: Described, column: str) -> list[str]:
    """Write the same in Python."""
    return [
        f'added = store.view("head_contributions", model="{names.model}", images="{names.images}")',
        f'texts = store.view("text_embeddings", model="{names.model}", texts="{names.texts}")',
        f"score = added[:, {head.layer}, {head.head}] @ texts[{said.text_id}]",
        f"known = store.sql(\"SELECT {column} FROM images WHERE image_set = '{names.images}'\").df()",
        f'known.assign(score=(score - score.mean()) / score.std()).groupby("{column}").score.mean()',
    ]


def _picture(store: Store, names: Names, path: Path, number: int) -> None:
    store.figure("heads", path, model=names.model, images=names.images, texts=names.texts, overwrite=True)
    _chapter(
        f"{number}. A picture", "Roles, descriptions, and the images of which the clearest heads say so most:"
    )
    click.echo(f"  {path}")


def _chapter(title: str, text: str) -> None:
    click.echo(f"\n{click.style(title, bold=True)}")
    click.echo(textwrap.fill(text, min(width() or 92, 92)) + "\n")


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    click.echo(textwrap.indent(layout(columns, rows, (width() or 1002) - 2), "  "), nl=False)


def _answer(store: Store, query: str) -> None:
    """Show what a statement gives, and how to type it."""
    answer = store.sql(query)
    _table(answer.columns, answer.fetchall())
    _typed(store, query)


def _typed(store: Store, query: str) -> None:
    """Show how to ask the same from a shell."""
    shown = textwrap.indent(query, "      ").strip()
    click.echo(f'\n    belvedere sql --store {shlex.quote(os.path.relpath(store.path))} "{shown}"')
