"""Devices of the tests' own, in a namespace where mounting is allowed: a small one and a read-only one.

Run as a program by `mounted`, with the name of a task and its arguments; prints what the task gives, as JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.forked import ROOT, Program

NEW_USERS, NEW_MOUNTS = 0x10000000, 0x00020000
"""Flags of unshare(2)."""
STEP = 40
"""By so many KiB the small device grows each time; it starts with no room at all."""


def mounted(task: str, *arguments: object) -> Any:
    """Run a task in a namespace of its own; skips where the system allows none."""
    allowed = subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode == 0
    if not allowed:
        pytest.skip("mounting is not allowed here, not even in a namespace of its own")
    done = Program(["-m", "tests.devices", task, *map(str, arguments)], ROOT).ended()
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def apart() -> None:
    """Go on in a namespace where this process is root and may mount, as `unshare -rm` does."""
    system, user, group = ctypes.CDLL(None, use_errno=True), os.getuid(), os.getgid()
    assert system.unshare(NEW_USERS | NEW_MOUNTS) == 0, os.strerror(ctypes.get_errno())
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    mount("--make-rprivate", "/")


def mount(*words: object) -> None:
    """Mount as the words say."""
    subprocess.run(["mount", *map(str, words)], check=True)


def run(*words: object) -> tuple[int, str, str]:
    """Run the command; give its exit code and what it said."""
    from click.testing import CliRunner

    from belvedere.cli import main

    result = CliRunner().invoke(main, [str(word) for word in words], prog_name="belvedere")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def until_it_fits(place: Path, *words: object) -> list[tuple[int, str]]:
    """Run a command on a full device that grows until it is done; give what was refused."""
    refused: list[tuple[int, str]] = []
    usage = os.statvfs(place)
    size = max(4, (usage.f_blocks - usage.f_bfree) * usage.f_frsize // 1024)
    while True:
        mount("-o", f"remount,size={size}k", "none", place)
        code, _, said = run(*words)
        if code == 0:
            return refused
        refused.append((code, said))
        assert len(refused) < 60, said
        size += STEP


def small(place: Path, clip: Path, photos: Path) -> dict[str, Any]:
    """Add, fill and export on a device that is always too small at first."""
    from tests.worlds import TEXTS, contents, orphans

    mount("-t", "tmpfs", "-o", "size=64k", "none", place)
    store, words = place / "store", place.parent / "words.txt"
    words.write_text("\n".join(TEXTS))
    at = ("--store", store)
    steps: dict[str, tuple[object, ...]] = {
        "model": ("add", "model", "m", f"open_clip:local-dir:{clip}", *at),
        "images": ("add", "images", "photos", photos, *at),
        "texts": ("add", "texts", "words", words, *at),
        "fill": ("fill", "head_descriptions", "--batch-size", "64", *at),
        "export": ("export", "head_contributions", place / "c.npy", *at),
    }
    told = {}
    for name, step in steps.items():
        refused = until_it_fits(place, *step)
        litter = [each.name for each in place.rglob("*#*")]
        told[name] = {"refused": refused, "verify": run("verify", *at)[0], "litter": litter + orphans(store)}
    shutil.copy(place / "c.npy", place.parent / "c.npy")
    there = sorted(each.name for each in place.iterdir())
    return {"told": told, "contents": contents(store), "there": there}


def read_only(place: Path, commands: str) -> list[tuple[int, str, str]]:
    """Run commands, each a list of words, on a store that is on a read-only device."""
    mount("--bind", place, place)
    mount("-o", "remount,ro,bind", place)
    return [run(*words) for words in json.loads(commands)]


def in_memory(place: Path, batch: str) -> dict[str, Any]:
    """Fill in memory what a store on a read-only device lacks."""
    import belvedere

    mount("--bind", place, place)
    mount("-o", "remount,ro,bind", place)
    with belvedere.open(place, mode="r", memory=True) as store:
        report = store.view("head_descriptions").fill(batch_size=int(batch))
        rows = store.sql("SELECT * FROM head_descriptions ORDER BY ALL").fetchall()
        return {"filled": report.filled, "rows": [list(map(str, row)) for row in rows]}


if __name__ == "__main__":
    apart()
    _, task, place, *rest = sys.argv
    tasks: dict[str, Any] = {"small": small, "read_only": read_only, "in_memory": in_memory}
    paths = [Path(each) for each in rest] if task == "small" else rest
    print(json.dumps(tasks[task](Path(place), *paths)))
