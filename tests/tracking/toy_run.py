"""A short run in a process of its own: `python -m tests.tracking.toy_run DIRECTORY TRACKER_OPTIONS_AS_JSON`.

With `--pause` it says "half" when it has logged its first row, and waits for a line before it goes on; with
`--no-table` it logs none.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from psearch.tracking.tracker import Frame, Picture
from psearch.tracking.wandb import Wandb
from tests.tracking.loopback import KEY

ROOT = Path(__file__).parents[2]
FACTS: dict[str, Any] = {
    "config": {"variant": {"distill": "identities", "seed": 1}, "trainer": {"epochs": 2}},
    "study": "a study",
    "name": "oim tiny identities from reid, seed 1",
    "tags": ["oim", "tiny"],
    "job_type": "student",
    "system_metrics": False,
}
FRAMES = (Frame((1, 2, 9, 20), "right", "1. right 0.90"), Frame((20, 2, 29, 20), "wrong", "2. wrong 0.80"))


def main(directory: Path, options: dict[str, Any], flags: list[str]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "last.pt").write_bytes(b"weights")
    Image.new("RGB", (40, 30), "grey").save(directory / "search.jpg")
    with Wandb(directory=directory, **{**FACTS, **options}) as tracker:
        tracker.log({"train/total": 2.0, "train/images_per_s": 50.0}, step=10, epoch=0.5)
        if "--pause" in flags:
            print("half", flush=True)
            input()
        tracker.log({"train/total": 1.0, "train/images_per_s": 60.0}, step=20, epoch=1)
        tracker.log({"val/mAP": 0.25}, step=20, epoch=1)
        tracker.summary({"best/mAP": 0.25, "protocol/dataset": "synthetic"})
        if "--no-table" not in flags:
            rows = [["alone", 0.1, 1e6], ["taught", None, 2e6]]
            columns = ["variant", "mAP", "parameters"]
            tracker.table("comparison", columns, rows, bar=("variant", "mAP"), scatter=("parameters", "mAP"))
        tracker.images("searches", [Picture(directory / "search.jpg", "search 0", FRAMES)])
        tracker.checkpoint(directory / "last.pt")


def environment(home: Path, **more: str) -> dict[str, str]:
    """Variables of a user who never saw wandb, and has no network to look for."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    return {**own, "HOME": str(home), "NETRC": str(home / "netrc"), "WANDB_CONFIG_DIR": str(home), **more}


def account(url: str) -> dict[str, str]:
    """Variables of a user with an account on that server."""
    return {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": url}


def started(directory: Path, home: Path, *flags: str, url: str, **options: Any) -> subprocess.Popen[str]:
    """A run of this module against a server."""
    command = [sys.executable, "-m", "tests.tracking.toy_run", str(directory), json.dumps(options), *flags]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    variables = environment(home, **account(url))
    return subprocess.Popen(command, env=variables, cwd=ROOT, text=True, **pipes)  # type: ignore[call-overload,no-any-return]


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    main(Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:])
