"""`belvedere demo`: all of it in a minute or two, on a small world whose truth is known."""

from __future__ import annotations

from pathlib import Path

import click

from .entry import FAILED
from .options import examples


@click.command(
    epilog=examples(
        "belvedere demo",
        "belvedere demo --store tour --model open_clip:ViT-B-16/laion2b_s34b_b88k --images ~/photos",
    )
)
@click.option(
    "--store",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-store"),
    show_default=True,
    metavar="DIR",
    help="The store; made where there is none.",
)
@click.option("--model", metavar="SOURCE", help="A model instead of the demo's, as `add model` takes it.")
@click.option("--images", metavar="SOURCE", help="Images instead of the demo's, as `add images` takes them.")
@click.option(
    "--texts",
    metavar="SOURCE",
    help="Texts, as `add texts` takes them. [default with --model: builtin:general]",
)
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to draw the heads. [default: heads.png beside the store]",
)
def command(
    folder: Path, model: str | None, images: str | None, texts: str | None, picture: Path | None
) -> None:
    """Show it at work on a small world whose truth is known.

    A small CLIP, 2,000 painted scenes and a pool of descriptions are added to a store, and views of them
    are filled: what each head writes, the texts that describe it, and its role. It ends with a picture.
    A second run reuses all of it.
    """
    from .tour import Sources, tour

    if (model is None) != (images is None):
        raise click.UsageError("--model and --images go together")
    if model is None or images is None:
        chosen = Sources(texts=texts or "demo:scenes")
    else:
        chosen = Sources(model, images, texts or "builtin:general")
    if not tour(folder, chosen, picture or folder.resolve().parent / "heads.png"):
        click.get_current_context().exit(FAILED)
