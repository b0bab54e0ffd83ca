"""`belvedere bench` times every stage on a model and pictures, and leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from belvedere.query.benching import bench
from belvedere.store.errors import BadSource, UnsupportedTower
from tests.shell import Run
from tests.worlds import add_pictures, make_clip


def test_it_times_every_stage_and_keeps_figures_with_the_machine(tmp_path: Path, run: Run) -> None:
    folder = add_pictures(tmp_path / "photos", range(12))
    source = f"open_clip:local-dir:{make_clip(tmp_path / 'clip')}"
    found = run("bench", source, folder, "--count", 8, "--json", "--out", tmp_path / "figures.json")
    assert found.exit_code == 0, found.output
    rows = {row["what"]: row for row in json.loads(found.stdout)}
    assert rows["plain forward pass"]["count"] == 8
    assert rows["the same on one thread"]["count"] == 2
    assert {name for name in rows if name.startswith("fill ")} == {
        f"fill {each}"
        for each in (
            *("image_embeddings", "head_contributions", "mlp_contributions", "head_moments"),
            *("patch_contributions", "token_contributions"),
        )
    }
    assert all(row["seconds"] > 0 for row in rows.values())
    assert rows["fill head_contributions"]["bytes_each"] > 0
    kept = json.loads((tmp_path / "figures.json").read_text())
    assert {"date", "cores", "device", "versions", "peak_memory_bytes"} <= set(kept["machine"])
    assert len(kept["rows"]) == len(rows)


def test_a_picture_that_cannot_be_decoded_is_left_out_and_no_figures_are_written_over(
    tmp_path: Path, run: Run
) -> None:
    folder = add_pictures(tmp_path / "photos", range(6))
    (folder / "00001.png").write_bytes(b"no picture")
    source = f"open_clip:local-dir:{make_clip(tmp_path / 'clip')}"
    found = run("bench", source, folder, "--json", "--out", tmp_path / "figures.json")
    assert found.exit_code == 0, found.output
    counts = {row["what"]: row["count"] for row in json.loads(found.stdout)}
    assert (counts["decode and preprocess"], counts["plain forward pass"]) == (6, 5)
    assert counts["fill head_contributions"] == counts["read head_contributions, dense"] == 5
    again = run("bench", source, folder, "--out", tmp_path / "figures.json")
    assert again.exit_code == 2
    assert "figures.json is there already" in again.stderr
    assert "a second" not in again.stderr


def test_sources_that_cannot_be_timed_are_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    source = f"open_clip:local-dir:{make_clip(tmp_path / 'clip')}"
    with pytest.raises(BadSource, match="there is no picture in"):
        bench(source, str(empty))
    with pytest.raises(BadSource, match="take at least 2 images"):
        bench(source, str(empty), count=1)
    folder = add_pictures(tmp_path / "photos", range(3))
    with pytest.raises(UnsupportedTower, match="whose parts are not known"):
        bench("demo:classifier", str(folder))


def test_an_interrupted_bench_says_that_nothing_is_kept(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: object, **more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("belvedere.query.benching.bench", interrupted)
    found = run("bench", "demo:clip", "demo:scenes", "--out", tmp_path / "figures.json")
    assert found.exit_code == 130
    assert found.stderr == "Interrupted: nothing is kept but the lines above.\n"
    assert not (tmp_path / "figures.json").exists()
