"""From a recipe to the task it describes, and from a checkpoint back to the task that wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from psearch.build import build
from psearch.runs.config import Recipe
from psearch.tasks.task import DatasetFacts, NetworkTask
from psearch.types import Benchmark


def make_task(recipe: Recipe, facts: DatasetFacts) -> NetworkTask:
    """The task (network and criterion) of a recipe."""
    task: NetworkTask = build(recipe.student)(facts=facts, compression=recipe.compression)
    return task


def new_task(recipe: Recipe, benchmark: Benchmark) -> tuple[NetworkTask, DatasetFacts]:
    """A task with fresh weights: the same ones for the same seed, whatever is distilled later."""
    facts = DatasetFacts.of(benchmark, anchors=recipe.anchor_count)
    torch.manual_seed(recipe.seed)
    task = make_task(recipe, facts)
    task.begin()
    return task, facts


def restored_task(checkpoint: Mapping[str, Any], path: Path) -> NetworkTask:
    """The task a checkpoint was written by, its weights in the memory format they were trained in, so that it
    computes the same bits. ValueError if they do not fit its config."""
    try:
        known = {field.name: checkpoint["facts"][field.name] for field in fields(DatasetFacts)}
        recipe = Recipe.parse(checkpoint["config"])
        task = make_task(recipe, DatasetFacts(**known))
        task.network.load_state_dict(checkpoint["network"])
        wanted = task.criterion.state_dict()
        kept = {key: value for key, value in checkpoint["criterion"].items() if key in wanted}
        fitting = {key: value for key, value in kept.items() if wanted[key].shape == value.shape}
        task.criterion.load_state_dict(fitting, strict=False)
    except (KeyError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"{path} is no checkpoint of psearch, or of another version of it ({error})"
        ) from error
    if recipe.trainer.get("channels_last"):
        task.to(memory_format=torch.channels_last)
    return task
