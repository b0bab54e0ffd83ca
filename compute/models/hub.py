"""Folders of models as transformers writes them: one on this machine, or one of the hub, fetched once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...store.errors import BadSource
from .model_files import first_line

_SMALL = ("*.json", "*.txt", "*.model", "*.jinja")


def fetch(name: str, *, weights: bool) -> Path:
    """Find the folder that a name stands for, on this machine or on the hub.

    Args:
        name: A folder, or a repository such as `google/vit-base-patch16-224`.
        weights: Whether its weights are needed, too; without them only small files are fetched.

    Raises `BadSource` where there is no such folder and the hub gives none.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path.resolve()
    if name.startswith((".", "/", "~")) or not 0 < name.count("/") < 2:
        raise BadSource(f"no folder {name}; a repository of the hub has a name of the form OWNER/MODEL")
    try:
        return _fetched(name, weights)
    except Exception as error:  # whatever the hub's client raises: no network, no such repository, no right
        raise BadSource(
            f"no folder {name}, and the hub gives no repository of that name ({first_line(error)}); "
            "name a folder with the files, or fetch it where there is a network"
        ) from error


def _fetched(name: str, weights: bool) -> Path:
    from huggingface_hub import snapshot_download

    kinds = [*_SMALL, "*.safetensors"] if weights else [*_SMALL]
    folder = Path(snapshot_download(name, allow_patterns=kinds))
    if weights and not any(folder.glob("*.safetensors")):
        folder = Path(snapshot_download(name, allow_patterns=[*_SMALL, "*.bin"]))
    return folder


def load(kind: Any, folder: Path, precision: str, source: str) -> Any:
    """Let a class of transformers load a model, in evaluation mode.

    A pooler whose weights were not published, as those of DINO and of DeiT's teachers, is left out. Raises
    `BadSource` where it cannot, and where other weights are missing, which would be random.
    """
    import torch

    quiet()
    asked: dict[str, Any] = {"dtype": getattr(torch, precision), "output_loading_info": True}
    try:
        net, told = kind.from_pretrained(folder, **asked)
        if told["missing_keys"] and all(each.startswith("pooler.") for each in told["missing_keys"]):
            net, told = kind.from_pretrained(folder, **asked, add_pooling_layer=False)
    except Exception as error:  # whatever transformers raises for weights that do not fit
        raise BadSource(f"{source} cannot be loaded: {first_line(error)}") from error
    missing = sorted(told["missing_keys"])
    if missing:
        raise BadSource(
            f"{source} has no weights for {len(missing)} parameters of {type(net).__name__} "
            f"(such as {missing[0]}), which would be random; is the configuration that of its weights?"
        )
    return net.eval()


def quiet() -> None:
    """Keep transformers from drawing bars and telling what is said once, in an error."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
