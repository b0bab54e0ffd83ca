"""`belvedere export`: says what it will write, writes it, and says what is lacking."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import belvedere
from tests.shell import Run


def test_an_array_is_written_and_its_size_said_before(run: Run, whole: Path, tmp_path: Path) -> None:
    found = run("export", "head_moments", "a.npy", "--store", whole)
    assert found.exit_code == 0
    assert found.stdout == "a.npy: 4 layer × 4 head × 36 factor × 36 factor_2, float64\n"
    first, bar = found.stderr.splitlines()
    assert first == (
        "head_moments[clip × scenes]: 4 layer × 4 head × 36 factor × 36 factor_2, float64, 165.9 kB dense"
    )
    assert bar.startswith("writing a.npy")
    assert np.load(tmp_path / "a.npy").shape == (4, 4, 36, 36)


def test_a_part_is_written_and_told_to_a_program(run: Run, whole: Path, tmp_path: Path) -> None:
    words = ("export", "head_contributions", tmp_path / "a.zarr", "--select", "image=0:8,layer=-1,head=0")
    found = run(*words, "--json", "--store", whole)
    told = json.loads(found.stdout)
    assert {name: told[name] for name in told if name != "bytes"} == {
        "path": str(tmp_path / "a.zarr"),
        "view": "head_contributions[clip × scenes]",
        "form": "zarr",
        "columns": ["image", "joint"],
        "shape": [8, 64],
        "dtype": "float32",
        "absent": {},
    }


def test_what_is_missing_is_computed_or_refused(run: Run, bare: Path, tmp_path: Path) -> None:
    words = ("export", "image_embeddings", tmp_path / "a.npy", "--store", bare)
    found = run(*words, "--missing", "raise")
    assert found.exit_code == 1
    assert "Error: 1 of 1 units of image_embeddings[clip × scenes] are missing; " in found.stderr
    assert not (tmp_path / "a.npy").exists()
    found = run(*words, "--batch-size", 16)
    assert (found.exit_code, found.stdout) == (0, f"{tmp_path}/a.npy: 40 image × 64 joint, float32\n")
    assert "40/40" in found.stderr


def test_a_table_is_written_narrowed(run: Run, whole: Path, tmp_path: Path) -> None:
    words = ("export", "head_descriptions", "a.csv", "--where", "layer = 3 AND rank < 2", "--store", whole)
    found = run(*words)
    assert found.stdout == "a.csv: 8 rows, 11 columns\n"
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["layer"], row["head"], row["rank"]) for row in rows] == [
        ("3", str(head), str(rank)) for head in range(4) for rank in range(2)
    ]


def test_images_that_could_not_be_read_are_listed(run: Run, bare: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(13):
        (tmp_path / "photos" / f"{number:02}.png").write_bytes(b"no picture")
    scene = next(Path(row["path"]) for row in belvedere.open(bare).sql("FROM images").df().to_dict("records"))
    (tmp_path / "photos" / "13.png").write_bytes(scene.read_bytes())
    run("add", "images", "broken", tmp_path / "photos", "--store", bare)
    words = ("export", "image_embeddings", "a.npy", "--images", "broken", "--store", bare)
    found = run(*words)
    lines = found.stderr.splitlines()
    start = lines.index("13 rows could not be read, and have no values (belvedere errors lists them):")
    assert (found.exit_code, len(lines[start:])) == (0, 12)
    assert lines[start + 1] == "  0: not a picture in a known format"
    assert lines[-1] == "  … and 3 more"
    refused = run(*words, "--overwrite", "--missing", "raise")
    assert refused.exit_code == 2
    assert "has no row for image 0" in refused.stderr
    assert np.isfinite(np.load(tmp_path / "a.npy")[13]).all()  # the copy of before is there


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("head_moments", "there.npy"), "there.npy is there already; take another name, or overwrite=True"),
        (("head_moments", "a.csv"), "a.csv asks for the format 'csv'; this view can be written to"),
        (
            ("head_moments", "a.npy", "--select", "lyer=1"),
            "no axis of head_moments 'lyer'; did you mean 'layer'?",
        ),
        (("head_moments", "a.npy", "--where", "layer=1"), "--where narrows views that are tables"),
        (("head_roles", "a.csv", "--select", "layer=1"), "--select narrows views that are arrays"),
        (
            ("head_roles", "a.csv", "--format", "zarr"),
            "asks for the format 'zarr'; this view can be written to",
        ),
        (("head_rolls", "a.csv"), "did you mean 'head_roles'?"),
        (("head_roles", "nowhere/a.csv"), "there is no folder nowhere; make it first"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(
    run: Run, whole: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    (tmp_path / "there.npy").write_text("precious")
    found = run("export", *words, "--store", whole)
    assert (found.exit_code, found.stdout) == (2, "")
    assert said in found.stderr
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["there.npy"]
    assert (tmp_path / "there.npy").read_text() == "precious"
