"""Proof that a refactor changed nothing: short trainings of two versions of the code, compared bit by bit.

    make golden BASE=<commit>                       this tree against a commit
    python tests/golden.py --record FILE            keep the traces of this tree
    python tests/golden.py --against FILE           this tree against traces that were kept

A trace is what one command writes: every logged loss of every step, digests of the final weights, the
metrics. Only the command line and the files of a run are used, so modules may move as they like. Where a
refactor renames a key of the config, change it here and say in `RENAMED` how BASE spells it.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
RENAMED: dict[str, str] = {}  # a key of the config in this tree: the same key in BASE
REWORDED = {"the student alone": "the baseline", " alone": " baseline", "true boxes": "GT boxes"}
"""Words of the study's table in BASE: the same in this tree."""

SIZES = (
    "data=synthetic",
    "data.height=64",
    "data.width=96",
    "data.train_scenes=40",
    "data.val_scenes=6",
    "data.test_scenes=8",
    "data.train_identities=6",
    "data.val_identities=4",
    "data.test_identities=4",
    "data.queries=4",
    "data.gallery_size=-1",
    "data.workers=1",
    "evaluation.evaluator.score_threshold=0.05",  # so that 20 steps are enough to find somebody
    "trainer.epochs=2",
    "trainer.batch_size=4",
    "trainer.workers=0",
    "trainer.threads=1",
    "trainer.log_every=1",
    "trainer.validate_every=1",
    "logger=jsonl",
    "device=cpu",
)
SHORT = ("epochs=1", "batch_size=8", "workers=0", "threads=1", "log_every=1")  # of a teacher's trainer
REID = ("teacher=reid", *(f"teacher.reid.trainer.{size}" for size in SHORT))
DETECTOR = ("teacher=detector", *(f"teacher.detector.trainer.{size}" for size in SHORT))
BOTH = ("teacher=[detector,reid]", *DETECTOR[1:], *REID[1:])

TEACHERS = {"reid": REID, "detector": DETECTOR}
STUDENTS = {
    "oim": (),
    "qeeps": ("student=qeeps",),
    "identities": (*REID, "distill=identities"),
    "dkd": (*REID, "distill=dkd"),
    "detector": (*DETECTOR, "distill=detector"),
    "fgd": (*DETECTOR, "distill=fgd"),
    "full": (*BOTH, "distill=full"),
}
STUDY = (*REID, "distill=none,identities", "seed=1,2")
NAMES = (*(f"teacher {name}" for name in TEACHERS), *STUDENTS, "study")

UNEQUAL = ("/lr", "/images_per_s", "/memory_mb")  # logged, and not of the arithmetic
MEASURED = ("latency", "seconds", "memory", "bytes", "directory", "commit", "settings")  # not compared


def main(arguments: list[str] | None = None) -> int:
    """Record or compare; 1 if anything differs."""
    asked = parsed(arguments)
    before = None
    if asked.against:
        before = read(asked.against)
    elif asked.base:
        before = of_commit(asked.base, asked.only)
    after = traced(ROOT, present(), asked.only)
    if asked.record:
        asked.record.write_text(json.dumps(after, indent=1) + "\n")
        print(f"recorded in {asked.record}")
    return 0 if before is None else report(before, after, asked.only)


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The command line; ends with a message where it asks for nothing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("base", nargs="?", help="a commit to compare this tree with")
    parser.add_argument("--record", type=Path, metavar="FILE", help="keep this tree's traces as JSON")
    parser.add_argument("--against", type=Path, metavar="FILE", help="compare with traces that were kept")
    parser.add_argument("--only", nargs="+", metavar="TRACE", choices=NAMES, default=list(NAMES))
    asked = parser.parse_args(arguments)
    if not (asked.base or asked.record or asked.against):
        parser.error("say with what to compare: make golden BASE=<commit> (or --against FILE, --record FILE)")
    if asked.base and asked.against:
        parser.error("BASE and --against both say what to compare with: give one")
    return asked


def read(file: Path) -> dict[str, Any]:
    """What --record wrote; ends with a message if it is something else."""
    try:
        recorded = json.loads(file.read_text())
        recorded["traces"], recorded["machine"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f"error: {file} holds no recorded traces: {error}")
    return dict(recorded)


def present() -> str:
    """What this tree is called: its commit, and whether files were changed since."""
    asked = ["git", "describe", "--always", "--dirty"]
    said = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True)
    return f"this tree ({said.stdout.strip() or 'no commit'})"


def of_commit(commit: str, only: list[str]) -> dict[str, Any]:
    """The traces of a commit, in a temporary copy of its files; ends with a message if there is none."""
    found = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True)
    if found.returncode:
        sys.exit(f"error: no commit {commit} here: {found.stderr.decode().strip()}")
    with tempfile.TemporaryDirectory(prefix="golden-") as folder:
        with tarfile.open(fileobj=io.BytesIO(found.stdout)) as archive:
            archive.extractall(folder, filter="data")
        return traced(Path(folder).resolve(), commit, only, RENAMED)


def traced(
    tree: Path, name: str, only: list[str], renamed: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run a tree's commands in a temporary folder and keep what they wrote."""
    python(tree, tree, "-c", IS_HERE, str(tree))
    traces: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="golden-runs-") as folder:
        runs = Path(folder)
        for trace in NAMES:
            if trace in only:
                since = time.monotonic()
                traces[trace] = one(trace, tree, runs, renamed or {})
                took = time.monotonic() - since
                print(f"{name:20} {trace:17} {took:5.1f} s", file=sys.stderr, flush=True)
        traces["data"] = {"files": rendered(runs)}
    return {"tree": name, "machine": machine(), "traces": traces}


IS_HERE = (
    "import importlib.util, pathlib, sys; spec = importlib.util.find_spec('psearch'); "
    "sys.exit(None if spec and pathlib.Path(sys.argv[1]) in pathlib.Path(spec.origin).resolve().parents "
    "else f'psearch would be imported from elsewhere: {spec}')"
)


def one(trace: str, tree: Path, runs: Path, renamed: Mapping[str, str]) -> dict[str, Any]:
    """Run the command of one trace."""
    study = f"golden-{trace.replace(' ', '-')}"

    def train(*overrides: str) -> None:
        spelt = [respelt(override, renamed) for override in (*SIZES, *overrides, f"study={study}")]
        python(tree, runs, "-m", "psearch.train", *(["-m"] if trace == "study" else []), *spelt)

    if trace == "study":
        train(*STUDY)
        return {"comparison": comparison(the(runs, f"{study}/comparison.csv"))}
    if trace in STUDENTS:
        train("seed=1", *STUDENTS[trace])
        return written(the(runs, f"{study}/*/last.pt").parent)
    teacher = trace.removeprefix("teacher ")
    train("seed=1", "stage=teacher", *TEACHERS[teacher])
    return written(the(runs, f"{teacher}-*/last.pt").parent)


def respelt(override: str, renamed: Mapping[str, str]) -> str:
    """An override of this tree as BASE wants it."""
    key, value = override.split("=", 1)
    return f"{renamed.get(key, key)}={value}"


def python(tree: Path, cwd: Path, *arguments: str) -> None:
    """Run Python with the code of `tree`; ends with the last lines it printed if it fails."""
    settings = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "TQDM_DISABLE": "1"}
    environment = os.environ | settings | {"PYTHONPATH": str(tree)}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, text=True, stdout=-1, stderr=subprocess.STDOUT
    )
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-20:])
        sys.exit(f"error: in {tree}: python {' '.join(arguments)}\n{tail}")


def the(runs: Path, pattern: str) -> Path:
    """The one file of this pattern that the commands have written."""
    found = sorted(runs.rglob(pattern))
    if len(found) != 1:
        sys.exit(f"error: expected one {pattern}, found {[str(path.relative_to(runs)) for path in found]}")
    return found[0]


def written(run: Path) -> dict[str, Any]:
    """The trace of a run directory; numbers as text, so that none is rounded."""
    state = torch.load(run / "last.pt", map_location="cpu", weights_only=True)
    results = json.loads((run / "results.json").read_text())
    cost = results.get("cost", {})
    found = run / "detections.npz"
    return {
        "step": losses(run / "metrics.jsonl"),
        "network": digest(f"{key} {digest(state['network'][key])}" for key in sorted(state["network"])),
        "criterion": values(state["criterion"]),
        "distillation": values(state.get("distillation", {})),
        "detections": arrays(found) if found.exists() else {},
        "metrics": exact(results.get("metrics", {})),
        "per_query": exact(results.get("per_query", {})),
        "searches": exact(results.get("searches", {})),
        "cost": {key: cost.get(key) for key in ("parameters", "macs")},
    }


def losses(file: Path) -> dict[str, dict[str, str]]:
    """What was logged of each step of a training."""
    steps: dict[str, dict[str, str]] = {}
    for row in map(json.loads, file.read_text().splitlines()):
        kept = {
            key: repr(value)
            for key, value in row.items()
            if key.startswith(("train/", "val/")) and not key.endswith(UNEQUAL)
        }
        if kept:
            steps.setdefault(str(row["step"]), {}).update(kept)
    return steps


def values(tensors: Mapping[str, Tensor]) -> list[str]:
    """Digests in an order that does not depend on what the tensors are called."""
    return sorted(digest(tensor) for tensor in tensors.values() if isinstance(tensor, Tensor))


def digest(content: Tensor | np.ndarray | bytes | Iterator[str]) -> str:
    """SHA-256 of type, shape and bytes, or of lines."""
    if isinstance(content, Tensor):
        content = content.contiguous().numpy()
    if isinstance(content, np.ndarray):
        content = f"{content.dtype} {content.shape} ".encode() + content.tobytes()
    elif not isinstance(content, bytes):
        content = "\n".join(content).encode()
    return hashlib.sha256(content).hexdigest()


def arrays(file: Path) -> dict[str, str]:
    """A digest of each array of an .npz file."""
    with np.load(file) as content:
        return {key: digest(content[key]) for key in sorted(content.files)}


def rendered(runs: Path) -> dict[str, Any]:
    """The scenes that were drawn: annotations and pixels."""
    folder = the(runs, "synthetic-*/train.npz").parent
    drawn = {file.name: arrays(file) for file in sorted(folder.glob("*.npz"))}
    return drawn | {file.name: digest(file.read_bytes()) for file in sorted(folder.glob("*.npy"))}


def comparison(file: Path) -> dict[str, dict[str, str]]:
    """The rows of a study's table, without what a clock or a disk decides."""
    with file.open() as lines:
        rows = list(csv.DictReader(lines))
    return {
        f"row {number} ({row['variant']})": {
            key: value for key, value in row.items() if not any(word in key for word in MEASURED)
        }
        for number, row in enumerate(rows, 1)
    }


def exact(value: Any) -> Any:
    """The same with every float as text."""
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [exact(item) for item in value]
    return repr(value) if isinstance(value, float) else value


def machine() -> dict[str, str]:
    """What else may change the last bit of a float."""
    cpu = torch.backends.cpu.get_cpu_capability()
    return {"torch": torch.__version__, "numpy": np.__version__, "cpu": cpu}


def report(before: Mapping[str, Any], after: Mapping[str, Any], only: list[str]) -> int:
    """Print a line per trace; 1 if any differs."""
    if before["machine"] != after["machine"]:
        print(f"warning: made on another machine: {before['machine']}, here {after['machine']}")
    print(f"\n{before['tree']} against {after['tree']}\n{'trace':17} steps  result")
    unequal = 0
    for name in ("data", *only):
        old, new = before["traces"].get(name), after["traces"].get(name)
        said = difference(old, new)
        unequal += said is not None
        print(f"{name:17} {len((new or {}).get('step', ())) or '–':>5}  {said or 'equal'}")
    print(f"{unequal} of {len(only) + 1} traces differ" if unequal else "nothing changed")
    return 1 if unequal else 0


def difference(before: Any, after: Any) -> str | None:
    """Where two traces differ first and in how many values; None if they are equal."""
    if before is None or after is None:
        return f"not traced in {'the former' if before is None else 'the latter'}"
    old, new = dict(map(reworded, flat(before))), dict(flat(after))
    unequal = [key for key in old | new if old.get(key, ABSENT) != new.get(key, ABSENT)]
    if not unequal:
        return None
    first = unequal[0]
    more = f" and {len(unequal) - 1} more" if unequal[1:] else ""
    return f"{first}: {old.get(first, ABSENT)} -> {new.get(first, ABSENT)}{more}"


ABSENT = "absent"


def reworded(leaf: tuple[str, Any]) -> tuple[str, Any]:
    """A leaf of BASE in the words of this tree."""
    place, value = leaf
    for old, new in REWORDED.items():
        place, value = place.replace(old, new), value.replace(old, new) if isinstance(value, str) else value
    return place, value


def flat(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested containers with their places, in order."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from flat(item, f"{place} {key}".strip())
    else:
        yield place, value


if __name__ == "__main__":
    sys.exit(main())
