"""How well a CLIP names the attributes of scenes, from one plain prompt for each value."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from .captions import prompt
from .scenes import Scene
from .words import VALUES

Tokenize = Callable[[list[str]], torch.Tensor]


class TwoTowers(Protocol):
    """What is asked of a model: open_clip's CLIP has it."""

    def encode_image(self, image: torch.Tensor, normalize: bool) -> torch.Tensor:
        """Embed pictures (image, 3, height, width) as (image, joint)."""
        ...

    def encode_text(self, text: torch.Tensor, normalize: bool) -> torch.Tensor:
        """Embed token ids (text, position) as (text, joint)."""
        ...


def truth(scenes: Sequence[Scene]) -> NDArray[np.int64]:
    """Return the place of each scene's values in `VALUES`, shape (image, attribute)."""
    rows = [[values.index(scene.attributes[name]) for name, values in VALUES.items()] for scene in scenes]
    return np.asarray(rows, dtype=np.int64)


@torch.inference_mode()
def embed_images(model: TwoTowers, pictures: torch.Tensor, batch: int = 250) -> torch.Tensor:
    """Return unit-norm embeddings (image, joint) of preprocessed pictures (image, 3, 64, 64)."""
    return torch.cat([model.encode_image(part, normalize=True) for part in torch.split(pictures, batch)])


@torch.inference_mode()
def accuracy(
    model: TwoTowers, tokenize: Tokenize, embeddings: torch.Tensor, codes: NDArray[np.int64]
) -> dict[str, float]:
    """Return the share of pictures whose nearest prompt is the true one, for each attribute.

    Args:
        model: An open_clip model.
        tokenize: Its tokenizer.
        embeddings: Unit-norm embeddings of the pictures, (image, joint).
        codes: The truth, (image, attribute), as `truth` returns it.
    """
    shares = {}
    for column, (name, values) in enumerate(VALUES.items()):
        texts = model.encode_text(tokenize([prompt(name, value) for value in values]), normalize=True)
        nearest = (embeddings @ texts.T).argmax(dim=1).numpy()
        shares[name] = float(np.mean(nearest == codes[:, column]))
    return shares
