"""A processor that really has no room for a batch: it is halved until it fits, and every image is there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import belvedere
from tests.worlds import add_pictures, make_clip

COUNT = 96
FILL = """
import json, resource, sys
from pathlib import Path

import torch

import belvedere

torch.set_num_threads(1)
store = belvedere.open(sys.argv[1])
assert store.view("head_contributions", images="few").fill(progress=False).complete  # all is loaded now
lines = Path("/proc/self/status").read_text().splitlines()
taken = int(next(line for line in lines if line.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (taken + int(sys.argv[2]),) * 2)
report = store.view("head_contributions", images="all").fill(progress=False, batch_size=96)
(loaded,) = store._engine.residents._loaded.values()
print(json.dumps({"filled": report.filled, "failed": report.failed, "fits": loaded.fits}))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the room of a process is limited as Linux does it")
def test_a_batch_is_halved_until_there_is_room(tmp_path: Path) -> None:
    sizes = {"image_size": 224, "patch_size": 16, "width": 512, "head_width": 64, "layers": 2, "mlp_ratio": 4}
    clip = make_clip(tmp_path / "clip", **sizes)
    store = belvedere.open(tmp_path / "store")
    store.add_model("m", f"open_clip:local-dir:{clip}")
    store.add_images("few", add_pictures(tmp_path / "few", range(2)))
    store.add_images("all", add_pictures(tmp_path / "all", range(COUNT)))
    store.close()
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path / "store"), str(220 << 20)],
        env={"MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["filled"], told["failed"]) == (1, 0)
    assert 8 <= told["fits"] < COUNT, "a batch of 96 takes 155 MB for what one MLP holds alone"
    kept = belvedere.open(tmp_path / "store").view("head_contributions", images="all")
    assert kept.status().ready == 1
    twin = belvedere.open(tmp_path / "twin")
    twin.add_model("m", f"open_clip:local-dir:{clip}")
    twin.add_images("all", tmp_path / "all")
    np.testing.assert_allclose(kept[...], twin.view("head_contributions")[...], atol=1e-5)
