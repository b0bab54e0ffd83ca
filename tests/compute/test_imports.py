"""Arrays in files: what is read of them, what is refused, and what the refusal says."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from belvedere.compute import array_files
from belvedere.compute import imported_arrays as imports
from belvedere.store.errors import BadSource, UnknownName

VALUES: NDArray[np.float32] = np.random.default_rng(7).normal(size=(10, 3)).astype(np.float32)


def write(path: Path, values: NDArray[Any]) -> Path:
    """Write an array in the format of the file's suffix, named `acts` where arrays have names."""
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".safetensors":
        save_file({"acts": torch.from_numpy(values)}, path)
    else:
        torch.save(torch.from_numpy(values), path)
    return path


@pytest.mark.parametrize("suffix", [".npy", ".pt", ".pth", ".safetensors"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_rows_come_as_they_were_written(suffix: str, dtype: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"acts{suffix}", VALUES.astype(dtype))
    found = array_files.find(path, None)
    assert (found.shape, found.dtype) == ((10, 3), dtype)
    rows = found.rows(4, 9)
    assert rows.dtype == dtype
    np.testing.assert_array_equal(rows, VALUES.astype(dtype)[4:9])


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_bfloat16_is_widened(suffix: str, tmp_path: Path) -> None:
    tensor, path = torch.from_numpy(VALUES).bfloat16(), tmp_path / f"acts{suffix}"
    if suffix == ".pt":
        torch.save(tensor, path)
    else:
        save_file({"acts": tensor}, path)
    found = array_files.find(path, None)
    assert found.dtype == "bfloat16"
    np.testing.assert_array_equal(found.rows(0, 10), tensor.float().numpy())


def test_byte_and_axis_orders_of_npy_make_no_difference(tmp_path: Path) -> None:
    np.save(tmp_path / "big.npy", VALUES.astype(">f4"))
    np.save(tmp_path / "fortran.npy", np.asfortranarray(VALUES))
    for name in ("big.npy", "fortran.npy"):
        found = array_files.find(tmp_path / name, None)
        assert found.dtype == "float32"
        np.testing.assert_array_equal(found.rows(2, 5), VALUES[2:5])


def test_tensors_are_found_by_their_key_or_because_there_is_one(tmp_path: Path) -> None:
    one, two = torch.from_numpy(VALUES), torch.zeros(2)
    torch.save({"acts": one.requires_grad_(), "dataset": "photos"}, tmp_path / "one.pt")
    torch.save({"acts": one, "bias": two}, tmp_path / "two.pt")
    save_file({"acts": one.detach(), "bias": two}, tmp_path / "two.safetensors")
    found = array_files.find(tmp_path / "one.pt", None)
    assert (found.key, found.name) == ("acts", "one.pt[acts]")
    for name in ("two.pt", "two.safetensors"):
        np.testing.assert_array_equal(array_files.find(tmp_path / name, "acts").rows(0, 10), VALUES)
        with pytest.raises(
            BadSource, match=r"holds 2 tensors \(acts, bias\): say which with key=… \(--key\)"
        ):
            array_files.find(tmp_path / name, None)
        with pytest.raises(UnknownName, match=r"no tensor in .* 'axts'; did you mean 'acts'\?"):
            array_files.find(tmp_path / name, "axts")


def test_a_file_that_an_old_torch_wrote_is_read(tmp_path: Path) -> None:
    torch.save(torch.from_numpy(VALUES), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    np.testing.assert_array_equal(array_files.find(tmp_path / "old.pt", None).rows(0, 10), VALUES)


def test_the_digest_is_that_of_the_whole_file(tmp_path: Path) -> None:
    path = write(tmp_path / "acts.npy", VALUES)
    counted: list[int] = []
    digest = array_files.find(path, None).digest(counted.append)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert sum(counted) == path.stat().st_size


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "acts.npy", VALUES)
    found = array_files.find(path, None)
    write(tmp_path / "acts.npy", np.zeros((11, 3), np.float32))
    for read in (lambda: found.rows(0, 1), lambda: found.digest(lambda count: None)):
        with pytest.raises(BadSource, match="changed while it was read; import it once it is written"):
            read()


class Runs:
    """An object that runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("ran"),))


def test_no_code_in_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("acts.npy", np.array([Runs(), Runs()]), allow_pickle=True)
    torch.save({"acts": torch.zeros(2, 2), "more": Runs()}, "acts.pt")
    with pytest.raises(BadSource, match=r"no whole \.npy file of numbers: .*Python objects"):
        array_files.find("acts.npy", None)
    with pytest.raises(BadSource, match="has other objects, which could run code"):
        array_files.find("acts.pt", None)
    assert not Path("ran").exists()


@pytest.mark.parametrize("suffix", [".npy", ".pt", ".safetensors"])
@pytest.mark.parametrize("damage", ["cut", "empty", "text"])
def test_files_that_are_not_whole_are_refused(suffix: str, damage: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"acts{suffix}", VALUES)
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[:-40], "empty": b"", "text": b"image,neuron\n" * 20}[damage])
    with pytest.raises(BadSource, match="is no whole"):
        array_files.find(path, None)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("list.pt", [torch.zeros(2, 2)], "holds a list; what can be imported is a tensor, or a dictionary"),
        ("none.pt", {"epoch": 3}, "holds no tensor"),
        ("sparse.pt", torch.eye(3).to_sparse(), "holds a tensor that is sparse"),
        ("ints.pt", torch.ones(2, 2, dtype=torch.int64), "holds int64; what can be imported is float16, "),
    ],
)
def test_what_is_no_array_of_floats_is_refused(name: str, value: Any, told: str, tmp_path: Path) -> None:
    torch.save(value, tmp_path / name)
    with pytest.raises(BadSource, match=told):
        array_files.find(tmp_path / name, None)


def test_a_file_of_another_kind_or_of_no_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.npy").mkdir()
    path = write(tmp_path / "acts.npy", VALUES)
    for name, told in (
        ("acts.csv", r"ends in '\.csv'; arrays are imported from \.npy, \.pt, \.pth, \.safetensors"),
        ("gone.npy", "no file"),
        ("folder.npy", "no file"),
    ):
        with pytest.raises(BadSource, match=told):
            array_files.find(tmp_path / name, None)
    with pytest.raises(BadSource, match="one array without a name, so key='acts' has no place"):
        array_files.find(path, "acts")


def checked(path: Path, values: NDArray[Any], **allowed: bool) -> dict[int, str]:
    """Check an array in blocks of four rows."""
    np.save(path / "acts.npy", values)
    seen: list[int] = []
    given = {"narrow": False, "absent_nan": False, **allowed}
    found = imports.check(
        array_files.find(path / "acts.npy", None), [(0, 4), (4, 8), (8, 10)], tick=seen.append, **given
    )
    assert seen == [4, 4, 2]
    return found


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_first_row_that_is_not_finite_is_named(value: float, tmp_path: Path) -> None:
    values = VALUES.copy()
    values[[5, 9], 1] = value
    for absent_nan in (False, True):
        with pytest.raises(
            BadSource, match=r"^row 5 of acts\.npy has numbers that are NaN or infinite; noth"
        ):
            checked(tmp_path, values, absent_nan=absent_nan)


def test_rows_of_nan_are_admitted_as_absent_where_that_is_asked_for(tmp_path: Path) -> None:
    values = VALUES.astype(np.float64)
    values[[5, 9]] = np.nan
    with pytest.raises(BadSource, match=r"^row 5 of acts\.npy is all NaN; absent_nan=True \(--absent-nan\)"):
        checked(tmp_path, values)
    reason = "its row in acts.npy is NaN"
    assert checked(tmp_path, values, absent_nan=True) == {5: reason, 9: reason}


def test_float64_is_rounded_only_where_that_is_asked_for(tmp_path: Path) -> None:
    assert checked(tmp_path, VALUES.astype(np.float64)) == {}
    values = VALUES.astype(np.float64)
    values[6, 2] += 1e-12
    with pytest.raises(BadSource, match=r"row 6 .* does not hold exactly; narrow=True \(--narrow\) rounds"):
        checked(tmp_path, values)
    assert checked(tmp_path, values, narrow=True) == {}
    values[7, 0] = 1e39
    with pytest.raises(BadSource, match=r"row 7 .* too large for float32"):
        checked(tmp_path, values, narrow=True)
