"""Views of towers, classes and class tokens keep what every view promises, over a few images and texts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from belvedere.compute.views import view_class
from belvedere.query.lazy.array import LazyArray
from belvedere.query.lazy.table import LazyTable
from belvedere.query.resolve import needed_inputs
from belvedere.query.store import Store
from belvedere.testing import SCENES, ViewContract, demo_store

NAMES = {"model": "clip", "images": "few", "texts": "few"}
VIEWS: Mapping[str, Mapping[str, Any]] = {
    "second_order_maps": {"layer": 1},
    "text_tower_maps": {},
    "class_embeddings": {},
    "class_logits": {"heads": "layer > 1"},
    "text_mlp_contributions": {},
    "class_token_contributions": {"convention": "clip_prs"},
}


def asked(store: Store, view: str) -> LazyArray | LazyTable:
    """Ask for a view of the first scenes and of the classes' texts, which are added if need be."""
    known = store._engine.folder.names
    if not known.has("images", "few"):
        query = "SELECT image_set, image_id FROM images WHERE image_set = 'scenes' AND image_id < 20"
        store.add_images("few", sql=query)
    if not known.has("texts", "few"):
        store.add_texts("few", "demo:classes")
    names = {kind: NAMES[kind] for kind in needed_inputs(view_class(view))}
    found: LazyArray | LazyTable = store.view(view, **names, **VIEWS[view])
    return found


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which all of them are filled, for the contracts to copy."""
    pictures = tmp_path_factory.getbasetemp() / "scenes"
    with demo_store(tmp_path_factory.mktemp("more") / "store", SCENES, pictures) as store:
        for view in VIEWS:
            assert asked(store, view).fill(batch_size=32).complete
    return store.path


class _Contract(ViewContract):
    @pytest.fixture(autouse=True, scope="class")
    @staticmethod
    def _shared(request: pytest.FixtureRequest, filled: Path) -> None:
        assert request.cls is not None
        request.cls._kept = filled

    def ask(self, store: Store) -> LazyArray | LazyTable:
        """Ask for the view."""
        return asked(store, self.view)


class TestSecondOrderMaps(_Contract):
    view = "second_order_maps"


class TestTextTowerMaps(_Contract):
    view = "text_tower_maps"


class TestClassEmbeddings(_Contract):
    view = "class_embeddings"


class TestTextMlpContributions(_Contract):
    view = "text_mlp_contributions"


class TestClassTokenContributions(_Contract):
    view = "class_token_contributions"
