"""Teachers are runs: a recipe is trained once, at an address made from what it is, and asked ever after."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from psearch import distributed
from psearch.distill.teacher import People, Teacher
from psearch.identity import config_hash, deciding
from psearch.runs import checkpoint
from psearch.runs.directory import acquire
from psearch.studies.fit import fit
from psearch.studies.identity_features import people_of
from psearch.studies.recipe import RECIPE, address, recipes, restored_task
from psearch.tasks.task import NetworkTask
from psearch.types import Benchmark

log = logging.getLogger(__name__)

SEARCHES = frozenset({"gallery_size", "queries", "subset"})
"""Keys of a data set that decide what is searched in it, not what is trained on."""


@dataclass(frozen=True)
class TeacherRun:
    """Where a trained teacher lies. name: its word in `conf/teacher`."""

    name: str
    checkpoint: Path

    @property
    def directory(self) -> Path:
        return self.checkpoint.parent

    def task(self) -> NetworkTask:
        """Its network and criterion as they were at the end of its training."""
        return restored_task(checkpoint.load(self.checkpoint), self.checkpoint)

    def load(self, benchmark: Benchmark, device: torch.device) -> Teacher:
        """The teacher, frozen, ready to be asked about this data."""
        state = checkpoint.load(self.checkpoint)
        task = restored_task(state, self.checkpoint).to(device)
        network, print_ = task.network, weights_print(task.network)

        def people() -> People:
            return distributed.on_first_rank(
                lambda: people_of(network, benchmark, directory=self.directory, teacher=print_, device=device)
            )

        same_people = state["facts"].get("data") == benchmark.train_fingerprint
        return Teacher(
            network,
            name=self.name,
            fingerprint=print_,
            provides=task.provides,
            prototypes=task.prototypes if same_people else None,
            people=people,
        )


def recipe_of(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The part of a run's config that a teacher is made from, with the data it is trained on."""
    data = {key: value for key, value in config["data"].items() if key not in SEARCHES}
    return {"data": data} | {key: config["teacher"][name][key] for key in RECIPE}


def variant_of(name: str, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What a teacher is called by where students are called by the choices made for them."""
    words = {"student": name, "compression": "", "teacher": "none", "distill": "none"}
    return words | {"seed": recipe.get("seed", 0), "overrides": []}


def needed(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The teachers of a run that must be trained, each by a key that runs wanting the same teacher share."""
    if not config["distill"]:
        return ()
    trained = [name for name, node in recipes(config).items() if not node.get("checkpoint")]
    return tuple(config_hash(recipe_of(config, name)) for name in trained)


def ready(key: str, home: Path) -> bool:
    """Whether a teacher of that key lies there. A wrong yes (other code, other data) costs nothing but the
    place of its training: the first run that wants it finds out and trains it."""
    return any((place / "results.json").exists() for place in places(key, home))


def places(key: str, home: Path) -> list[Path]:
    """Directories of teachers of that key, trained or not yet; those with a broken config do not count."""
    found = []
    for path in sorted(home.glob("*/config.yaml")):
        try:
            config = yaml.safe_load(path.read_text())
        except (OSError, yaml.YAMLError):
            continue
        if isinstance(config, dict) and config_hash(config) == key:
            found.append(path.parent)
    return found


def obtain(
    config: Mapping[str, Any],
    benchmark: Benchmark,
    *,
    device: torch.device,
    logger: Callable[..., Any],
    home: Path,
) -> list[TeacherRun]:
    """The teachers a run asks for, trained first if nobody did: other runs that want them wait meanwhile.

    Raises ValueError if terms are chosen without a teacher, or a checkpoint cannot be read.
    """
    if not config["teacher"]:
        terms = ", ".join(config["distill"])
        raise ValueError(
            f"distill={terms} needs a teacher: add teacher=reid (or oim, …), or choose distill=none"
        )
    return [
        _obtain(config, name, benchmark, device=device, logger=logger, home=home) for name in recipes(config)
    ]


def _obtain(
    config: Mapping[str, Any],
    name: str,
    benchmark: Benchmark,
    *,
    device: torch.device,
    logger: Callable[..., Any],
    home: Path,
) -> TeacherRun:
    given = config["teacher"][name].get("checkpoint")
    if given:
        checkpoint.load(given)
        return TeacherRun(name, Path(given))
    recipe = recipe_of(config, name)
    directory = home / f"{name}-{address(deciding(recipe), benchmark.train_fingerprint)}"
    with acquire(directory, recipe, wait_s=-1) as run:
        if not run.finished:
            log.info("training the teacher %s in %s", name, directory)
            fit(
                run,
                benchmark,
                device=device,
                logger=logger,
                study="teachers",
                job_type="teacher",
                variant=variant_of(name, recipe),
            )
    return TeacherRun(name, directory / checkpoint.LAST)


def weights_print(network: nn.Module) -> str:
    """12 hex digits that stand for a network's weights."""
    digest = hashlib.sha256()
    for key, value in network.state_dict().items():
        digest.update(key.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
