"""What units that are made with models and instruments have at hand while they are made."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...store.errors import UnreadablePicture
from ...store.memos import Memos, packed, unpacked
from ...store.sets import ImageSet, Instrument, Language, Model
from ...store.views import Array, Unit
from ..images.pictures import Pictures
from ..images.pixels import pixels_of
from ..models.loaded import Loaded
from ..models.modules import Watch, entry
from ..neurons import pooling
from ..neurons.pooled import refuse_infinite
from ..views.neuron_activations import NeuronActivations
from .causes import embedding_cause, layer_cause
from .room import in_room

if TYPE_CHECKING:
    from ..language.asking import Asker

REMEMBERED = 1 << 30
"""Bytes of pictures that stay decoded, at 4 a pixel: many neurons look at the same ones."""


class Aids:
    """Models, instruments, pictures and memos, for one run."""

    def __init__(
        self,
        *,
        load: Callable[[Model], Loaded],
        bench: Callable[[Instrument], Any],
        asker: Callable[[Language], Asker],
        pictures: Pictures,
        memos: Memos,
        batch_size: int,
        pool: ThreadPoolExecutor,
        give_up: Callable[[Unit], None],
        tick: Callable[[], None],
    ) -> None:
        """Take what a runner has; `tick` is called between batches, so that claims are renewed.

        `give_up` lets a unit count as missing, of which something that it names is gone.
        """
        self.memos, self.batch_size, self.tick = memos, batch_size, tick
        self._load, self._bench, self._pool = load, bench, pool
        self.pictures = pictures
        """The pictures of the store."""
        self.asker, self.give_up = asker, give_up
        self._decoded: OrderedDict[tuple[str, str], Image.Image] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def instrument(self, each: Instrument) -> Any:
        """Give a captioner or a painter, loaded; `asker` gives a language model with its budget."""
        return self._bench(each)

    def loaded(self, model: Model) -> Loaded:
        """Give a model, loaded."""
        return self._load(model)

    def image(self, images: ImageSet, image_id: int) -> Image.Image:
        """Decode a picture of a set; `UnreadablePicture` where it cannot be, `PictureChanged` as ever."""
        path, digest = images.path(image_id), images.identities[image_id]
        with self._lock:
            known = self._decoded.get((path, digest))
            if known is not None:
                self._decoded.move_to_end((path, digest))
                return known
        found = self.pictures.fetch(path, digest)
        with self._lock:
            if (path, digest) not in self._decoded:
                self._decoded[path, digest] = found
                self._bytes += _bytes(found)
            while self._bytes > REMEMBERED:
                _, gone = self._decoded.popitem(last=False)
                self._bytes -= _bytes(gone)
        return found

    def readable(self, images: ImageSet, image_ids: Sequence[int]) -> dict[int, Image.Image]:
        """Decode pictures of a set, those that can be, on all the runner's threads."""

        def one(image_id: int) -> Image.Image | None:
            try:
                return self.image(images, image_id)
            except UnreadablePicture:
                return None

        found = zip(image_ids, self._pool.map(one, image_ids), strict=True)
        return {image_id: picture for image_id, picture in found if picture is not None}

    def outputs(
        self, view: NeuronActivations, pictures: Sequence[Image.Image], take: Callable[[Tensor], Array]
    ) -> Array:
        """Run pictures through a model, and take of a module's output: one row a picture.

        `take` is given the output of a batch with the images along the first axis, in float32.
        """
        loaded, axis = self.loaded(view.model), view.model.module(view.module).image_axis

        def look(output: Tensor) -> Array:
            return take(output.movedim(axis, 0).float())

        with Watch(loaded.net, {view.module: look}) as watch, torch.inference_mode():

            def run(batch: Tensor) -> Array:
                watch.forget()  # what a batch left for which there was no room
                loaded.run(batch)
                return watch.take()[view.module]

            return self._run(loaded, pictures, run)

    def activations(self, view: NeuronActivations, pictures: Sequence[Image.Image]) -> Array:
        """Give what all neurons of a layer give for pictures, "picture neuron", pooled as the view says.

        It is kept by the pixels of all of these together: they are run by themselves, so that what they give
        depends on no others.
        """

        def take(output: Tensor) -> Array:
            pooled = pooling.pool(output, 0, view.pool, view.token, view.channels)
            found: Array = pooled.cpu().numpy().astype(np.float32)
            return found

        def make() -> Array:
            found = self.outputs(view, pictures, take)
            refuse_infinite(found, view.module)
            return found

        return self._kept("activations", layer_cause(view, map(pixels_of, pictures)), make)

    def embeddings(self, clip: Model, pictures: Sequence[Image.Image]) -> Array:
        """Embed pictures with a model of images and texts: "picture joint", unit norm.

        Kept, and run by themselves, as activations are.
        """

        def make() -> Array:
            loaded = self.loaded(clip)
            kind = entry(loaded.side)

            def run(batch: Tensor) -> Array:
                found: Array = loaded.net.encode_image(batch.to(loaded.device, kind)).float().cpu().numpy()
                return found

            with torch.inference_mode():
                every = self._run(loaded, pictures, run)
            norms: Array = np.linalg.norm(every, axis=1, keepdims=True)
            return every / norms

        return self._kept("embeddings", embedding_cause(clip, map(pixels_of, pictures)), make)

    def _kept(self, kind: str, cause: Mapping[str, Any], make: Callable[[], Array]) -> Array:
        """Give an array that is kept for a cause; else make it, and keep it."""
        known = self.memos.get(kind, cause)
        if known is None:
            found = make()
            known = self.memos.put(kind, cause, {"width": found.shape[1], "values": packed(found)})
        return unpacked(known["values"]).reshape(-1, known["width"])

    def whole(self, clip: Model, texts: Sequence[str]) -> list[str]:
        """Give those of some texts, in their order, that a model reads whole: cut short they say others."""
        rooms = self.loaded(clip).too_long(texts) if texts else ()
        return [text for text, room in zip(texts, rooms, strict=True) if room is None]

    def text_embeddings(self, clip: Model, texts: Sequence[str]) -> Array:
        """Embed texts that the model reads `whole`: "text joint", unit norm.

        Each goes through the model by itself, so that its embedding depends on no others, to the last bit.
        """
        loaded, rows = self.loaded(clip), []
        for text in texts:
            rows.append(loaded.encode_texts([text]))
            self.tick()
        found = np.concatenate(rows) if rows else np.empty((0, 0), np.float32)
        norms: Array = np.linalg.norm(found, axis=1, keepdims=True)
        return found / norms

    def batches(
        self, loaded: Loaded, pictures: Sequence[Image.Image], most: int | None = None
    ) -> Iterator[Tensor]:
        """Preprocess pictures batch by batch, at most so many at once."""
        size = min(loaded.fits or self.batch_size, most or self.batch_size)
        for start in range(0, len(pictures), size):
            yield torch.stack(list(self._pool.map(loaded.transform, pictures[start : start + size])))
            self.tick()

    def _run(self, loaded: Loaded, pictures: Sequence[Image.Image], run: Callable[[Tensor], Array]) -> Array:
        """Preprocess pictures and run them, batch by batch as the device has room: one row a picture."""

        def prepared(some: Sequence[Image.Image]) -> Array:
            return run(torch.stack(list(self._pool.map(loaded.transform, some))))

        rows = []
        for _, found in in_room(loaded, pictures, self.batch_size, prepared):
            rows.append(found)
            self.tick()
        return np.concatenate(rows)


def _bytes(picture: Image.Image) -> int:
    """Give the bytes that a picture takes in memory; Pillow keeps 4 for a pixel of colours."""
    return 4 * picture.width * picture.height
