"""The views of segmentation, and the patches beneath them, keep what every view promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from belvedere.testing import SCENES, ViewContract, demo_store


@pytest.fixture(scope="module")
def segmented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which all of them are filled, for the contracts to copy."""
    pictures = tmp_path_factory.getbasetemp() / "scenes"
    with demo_store(tmp_path_factory.mktemp("segmented") / "store", SCENES, pictures) as store:
        assert store.view("segmentation_scores").fill().complete
    return store.path


class _Contract(ViewContract):
    @pytest.fixture(autouse=True, scope="class")
    @staticmethod
    def _shared(request: pytest.FixtureRequest, segmented: Path) -> None:
        assert request.cls is not None
        request.cls._kept = segmented


class TestPatchContributions(_Contract):
    view = "patch_contributions"


class TestForegroundMasks(_Contract):
    view = "foreground_masks"


class TestRelevanceMaps(_Contract):
    view = "relevance_maps"


class TestSegmentationCounts(_Contract):
    view = "segmentation_counts"


class TestSegmentationScores(_Contract):
    view = "segmentation_scores"
