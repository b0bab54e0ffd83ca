"""`belvedere add`: let a name stand for a model, images, texts, or an instrument."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from .options import examples, open_store, store_option

if TYPE_CHECKING:
    from ..store.sets import Model

Precision = Literal["float32", "float16", "bfloat16"]
_precision = click.option(
    "--precision",
    type=click.Choice(["float32", "float16", "bfloat16"]),
    default="float32",
    show_default=True,
    help="The data type to compute in.",
)
replace_option = click.option(
    "--replace", is_flag=True, help="Let the name stand for something else than before."
)


@click.group(
    epilog=examples(
        "belvedere add model clip demo:clip --store mystore",
        "belvedere add images scenes demo:scenes --store mystore",
        "belvedere add texts pool demo:scenes --store mystore",
    )
)
def command() -> None:
    """Let a name stand for a model, images, texts, or an instrument.

    The store is made where --store names a new or an empty folder.
    """


@command.command(
    epilog=examples(
        "belvedere add model b16 open_clip:ViT-B-16/laion2b_s34b_b88k",
        "belvedere add model mine open_clip:ViT-B-32 --checkpoint weights.pt",
        "belvedere add model resnet torchvision:resnet50/IMAGENET1K_V2",
        "belvedere add model vit hf:google/vit-base-patch16-224",
    )
)
@click.argument("name")
@click.argument("source")
@click.option("--checkpoint", metavar="FILE", help="A file with the model's weights.")
@_precision
@replace_option
@store_option
def model(
    name: str,
    source: str,
    checkpoint: str | None,
    precision: Precision,
    replace: bool,
    folder: Path | None,
) -> None:
    """Let NAME stand for the model SOURCE.

    SOURCE is open_clip:ARCHITECTURE/TAG, open_clip:ARCHITECTURE with a --checkpoint,
    open_clip:local-dir:FOLDER, demo:clip or demo:classifier; timm:NAME, timm:local-dir:FOLDER or
    torchvision:NAME/WEIGHTS, with or without a --checkpoint; hf:REPOSITORY or hf:FOLDER (vision models, CLIP
    and SigLIP of transformers). The modules of all of them give activations, and heads are told apart in
    those of open_clip and in the vision transformers of timm and transformers (docs/towers.md).
    """
    store = open_store(folder, create=True)
    added = store.add_model(name, source, checkpoint=checkpoint, precision=precision, replace=replace)
    click.echo(f"model {name}: {_sizes(added)}, {added.precision}")


def _sizes(model: Model) -> str:
    shape = model.tower
    if shape is None:
        return f"{len(model.modules)} modules, whose activations can be taken"
    return f"{shape.layers} layers of {shape.heads} heads, {shape.tokens} tokens, {shape.joint} dimensions"


@command.command(
    epilog=examples(
        "belvedere add images photos ~/photos --labels folder",
        "belvedere add images few a.jpg b.jpg",
        "belvedere add images dogs --sql \"SELECT image_set, image_id FROM images WHERE label = 'dog'\"",
    )
)
@click.argument("name")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.option(
    "--sql", "statement", metavar="QUERY", help="Instead of a SOURCE: take images that are in the store."
)
@click.option(
    "--labels", type=click.Choice(["folder"]), help="Take each image's class from the folder that it lies in."
)
@click.option(
    "--masks",
    metavar="DIR",
    help="Take each image's mask from here, by its path below the source or its name; or a table path,mask.",
)
@click.option(
    "--concepts", metavar="FILE", help="A table value,concept of what the numbers in masks stand for."
)
@replace_option
@store_option
def images(
    name: str,
    sources: tuple[str, ...],
    statement: str | None,
    labels: Literal["folder"] | None,
    masks: str | None,
    concepts: str | None,
    replace: bool,
    folder: Path | None,
) -> None:
    """Let NAME stand for an ordered set of images.

    SOURCE is a folder, a glob in quotes, one or more files, a .csv or .parquet table with
    path[,label][,grp][,mask], the metadata.csv of Waterbirds (metadata.csv#val for a split), a Hugging Face
    data set folder (FOLDER#SPLIT where it has several splits), ImageNet-Segmentation's gtsegs_ijcv.mat,
    torchvision:NAME/FOLDER#SPLIT, demo:scenes or demo:crossed, of which "demo:scenes[:N]" are the first N.
    Their bytes are read once. Adding the same source again appends what it has gained.

    A mask has the size of its image, and is black where the background is; elsewhere is the thing that the
    image's label names, or, with --concepts, what FILE calls the number of the pixel.

    QUERY answers with columns image_set and image_id, in the order that the images are to have; its
    answer has to be complete.
    """
    if bool(sources) == (statement is not None):
        raise click.UsageError("name a SOURCE or --sql QUERY, one of the two")
    store = open_store(folder, create=True)
    source: Any = (sources[0] if len(sources) == 1 else list(sources)) if sources else None
    with Reading() as tick:
        added = store.add_images(
            name,
            source,
            sql=statement,
            labels=labels,
            masks=masks,
            concepts=concepts,
            replace=replace,
            tick=tick,
        )
    unreadable = f", {added.unreadable:,} unreadable" if added.unreadable else ""
    told = [(added.changed, "changed"), (added.gone, "gone"), (added.masks, "with masks")]
    more = "".join(f", {count:,} {what}" for count, what in told if count)
    click.echo(f"images {name}: {added.count:,}, {added.new:,} of them new{more}{unreadable}")


@command.command(
    epilog=examples(
        "belvedere add texts general builtin:general",
        "belvedere add texts mine words.csv",
        "belvedere add texts classes classes.txt --templates builtin:templates",
    )
)
@click.argument("name")
@click.argument("source")
@click.option(
    "--templates",
    metavar="SOURCE",
    help="Write each text into each of these sentences, where they have {}: a file, or builtin:templates.",
)
@replace_option
@store_option
def texts(name: str, source: str, templates: str | None, replace: bool, folder: Path | None) -> None:
    """Let NAME stand for an ordered set of texts.

    SOURCE is a file with one text a line, a .csv or .parquet table with text[,category],
    builtin:general, builtin:words, demo:scenes, demo:classes or demo:crossed. A set can stand for
    classes: those are its categories, or its texts where these have none.
    """
    added = open_store(folder, create=True).add_texts(name, source, templates=templates, replace=replace)
    click.echo(f"texts {name}: {added.count:,}, {added.new:,} of them new")


def _instrument(kind: str, what: str, sources: str, example: str) -> click.Command:
    """Make the command that registers an instrument."""

    @click.argument("name")
    @click.argument("source")
    @_precision
    @replace_option
    @store_option
    def add(name: str, source: str, precision: Precision, replace: bool, folder: Path | None) -> None:
        store = open_store(folder, create=True)
        register = {
            "captioner": store.add_captioner,
            "language": store.add_language,
            "painter": store.add_painter,
            "judge": store.add_judge,
        }[kind]
        added = register(name, source, precision=precision, replace=replace)
        click.echo(f"{kind} {name}: {added.source}, {added.precision}")

    text = f"Let NAME stand for {what}.\n\nSOURCE is {sources}."
    return click.command(kind, help=text, epilog=examples(example))(add)


command.add_command(
    _instrument(
        "captioner",
        "a model that says what a picture shows",
        "hf:REPOSITORY or hf:FOLDER of an image-to-text model of transformers, such as BLIP, or "
        "demo:captioner",
        "belvedere add captioner blip hf:Salesforce/blip-image-captioning-base",
    )
)
command.add_command(
    _instrument(
        "language",
        "a language model, which puts captions into a few words",
        "openai:MODEL at an OpenAI-compatible endpoint (OPENAI_BASE_URL, with the key in OPENAI_API_KEY, "
        "which is never stored), hf:REPOSITORY or hf:FOLDER of a chat model of transformers, replay:FILE "
        "with recorded replies, or rules, which needs no model",
        "belvedere add language gpt openai:gpt-4o-mini",
    )
)
command.add_command(
    _instrument(
        "painter",
        "a model that paints pictures from texts",
        "diffusers:REPOSITORY or diffusers:FOLDER of a text-to-image pipeline, or demo:painter",
        "belvedere add painter sd diffusers:stable-diffusion-v1-5/stable-diffusion-v1-5 --precision float16",
    )
)
command.add_command(
    _instrument(
        "judge",
        "a model that says how near two texts are in meaning",
        "sentences:REPOSITORY or sentences:FOLDER of a sentence encoder of sentence-transformers, or "
        "bertscore:REPOSITORY or bertscore:FOLDER, with #LAYER where bert-score does not know the layer",
        "belvedere add judge mpnet sentences:sentence-transformers/all-mpnet-base-v2",
    )
)


class Reading:
    """Shows on stderr how many images have been read."""

    def __enter__(self) -> Callable[[int, int], None]:
        from ..query.progress import Bar

        self._bar, self._begun = Bar(), False
        return self._tick

    def _tick(self, done: int, total: int) -> None:
        if not self._begun:
            self._begun = True
            self._bar.begin(total, "reading images")
        self._bar.advance(1)

    def __exit__(self, *_: Any) -> None:
        if self._begun:
            self._bar.end()
