"""One file a family of models; the beginning of a source says which."""

from __future__ import annotations

from ...store.errors import CannotRun, UnknownName
from .family import Found

KINDS = (
    "open_clip:ARCHITECTURE/TAG",
    "open_clip:local-dir:FOLDER",
    "timm:NAME",
    "timm:local-dir:FOLDER",
    "torchvision:NAME/WEIGHTS",
    "hf:FOLDER",
    "hf:REPOSITORY",
    "demo:clip",
    "demo:classifier",
)
"""The sources that are known."""


def find(source: str, checkpoint: str | None = None) -> Found:
    """Take apart a source and find what it names; no weights are read.

    `open_clip:ViT-B-16/laion2b_s34b_b88k`, `open_clip:ViT-B-16` with a checkpoint file,
    `open_clip:local-dir:FOLDER`, `timm:resnet50.a1_in1k`, `torchvision:resnet50/IMAGENET1K_V2`, either
    with a checkpoint file, `timm:local-dir:FOLDER`, `hf:google/vit-base-patch16-224`, `hf:FOLDER`,
    `demo:clip` or `demo:classifier`.

    Raises `UnknownName` for a kind, architecture or tag that does not exist, `BadSource` for files that do
    not, `UnsupportedTower` for an open_clip vision tower that is not decomposed, and `CannotRun` for the
    source of a module of one's own, or of an import.
    """
    if source == "demo:clip" or source.startswith("open_clip:"):
        from .families import openclip

        return openclip.find(source, checkpoint)
    if source == "demo:classifier" or source.startswith("timm:"):
        from .families import timm_models

        return timm_models.find(source, checkpoint)
    if source.startswith("torchvision:"):
        from .families import torchvision_models

        return torchvision_models.find(source, checkpoint)
    if source.startswith("hf:"):
        from .families import transformers_models

        return transformers_models.find(source, checkpoint)
    if source.startswith("module:"):
        raise CannotRun(
            f"{source.removeprefix('module:')} is a module of your own, which a store does not keep: give it "
            "again with add_model(NAME, module, transform=…, transform_id=…), and the tokenizer=… that it had"
        )
    if source.startswith("import:"):
        raise CannotRun(
            f"{source} is no model that can run; belvedere import arrays takes in what others have computed"
        )
    raise UnknownName("model source", source, KINDS)
