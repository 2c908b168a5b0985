"""A run as its tracker knows it: under a readable name, with the words it was chosen with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from psearch import ranks
from psearch.tracking.silent import Silent
from psearch.tracking.tracker import Tracker

AXES = ("student", "compression", "teacher", "distill")


def title(variant: Mapping[str, Any]) -> str:
    """What a run is called: `oim tiny identities from reid, seed 1, trainer.epochs=4`."""
    student, compression, teacher, distill = (str(variant[axis]) for axis in AXES)
    alone = "alone" if compression else "teacher"
    how = alone if distill == "none" else f"{distill} from {teacher}"
    name = " ".join(word for word in (student, compression, how) if word)
    return ", ".join([name, f"seed {variant['seed']}", *map(str, variant["overrides"])])


def tracker_of(
    logger: Callable[..., Tracker],
    directory: Path,
    *,
    config: Mapping[str, Any],
    variant: Mapping[str, Any],
    study: str,
    job_type: str,
    name: str | None = None,
) -> Tracker:
    """The tracker of one run; a silent one for ranks that do not write. Its config is the resolved one with
    the variant, so that runs can be grouped by the words they were chosen with."""
    make = logger if ranks.first() else Silent
    return make(
        directory=directory,
        config={**config, "variant": dict(variant)},
        study=study,
        name=name or title(variant),
        tags=[word for axis in AXES if (word := str(variant[axis])) not in ("", "none")],
        job_type=job_type,
    )


def summary_of(results: Mapping[str, Any]) -> dict[str, float | str]:
    """Numbers of `results.json` under names like `test/mAP`, `cost/parameters` and `protocol/dataset`."""
    split = (results.get("protocol") or {}).get("split", "test")
    rooms = {split: "metrics", "cost": "cost", "training": "training", "protocol": "protocol"}
    return {
        f"{room}/{key}": value
        for room, part in rooms.items()
        for key, value in (results.get(part) or {}).items()
        if isinstance(value, int | float | str)
    }
