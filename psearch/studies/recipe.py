"""A recipe: everything that decides what a training produces, for a student and for a teacher alike."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import torch

from psearch.build import Facts, build
from psearch.tasks.task import NetworkTask
from psearch.types import Benchmark

RECIPE = ("student", "compression", "trainer", "seed")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
PACKAGE = Path(__file__).parents[1]
CODE = ("boxes.py", "distributed.py", "models", "losses", "data", "engine", "tasks")
"""The files whose code decides the weights that a recipe ends with."""


def recipes(config: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Name -> node of each teacher that a run names. Raises ValueError for a node that is no recipe."""
    for name, node in config["teacher"].items():
        missing = set(RECIPE) - set(node if isinstance(node, Mapping) else ())
        if missing:
            raise ValueError(
                f"teacher.{name} is no recipe, it has no {', '.join(sorted(missing))}: a file of "
                f"conf/teacher opens with '# @package teacher.<its name>' and has {', '.join(RECIPE)}"
            )
    return dict(config["teacher"])


def make_task(recipe: Mapping[str, Any], facts: Facts) -> NetworkTask:
    """The task (network and criterion) of a recipe {student, compression, …}."""
    task: NetworkTask = build(recipe["student"])(facts=facts, compression=recipe["compression"])
    return task


def new_task(recipe: Mapping[str, Any], benchmark: Benchmark, *, seed: int) -> tuple[NetworkTask, Facts]:
    """A task with fresh weights: the same ones for the same seed, whatever is distilled later."""
    count = recipe["student"].get("anchors", {}).get("count", 4)
    facts = Facts.of(benchmark, anchors=count)
    torch.manual_seed(seed)
    task = make_task(recipe, facts)
    task.begin()
    return task, facts


def restored_task(checkpoint: Mapping[str, Any], path: Path) -> NetworkTask:
    """The task a checkpoint was written by, its weights in the memory format they were trained in, so that it
    answers with the same bits. ValueError if they do not fit its config."""
    try:
        known = {field.name: checkpoint["facts"][field.name] for field in fields(Facts)}
        task = make_task(checkpoint["config"], Facts(**known))
        task.network.load_state_dict(checkpoint["network"])
        own = task.criterion.state_dict()
        kept = {key: value for key, value in checkpoint["criterion"].items() if key in own}
        fitting = {key: value for key, value in kept.items() if own[key].shape == value.shape}
        task.criterion.load_state_dict(fitting, strict=False)
    except (KeyError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"{path} is no checkpoint of psearch, or of another version of it ({error})"
        ) from error
    if checkpoint["config"]["trainer"]["channels_last"]:
        task.to(memory_format=torch.channels_last)
    return task


@cache
def code_digest() -> str:
    """Hash of the code that decides weights; comments and docstrings do not count."""
    digest = hashlib.sha256()
    for entry in CODE:
        path = PACKAGE / entry
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(f"{file.relative_to(PACKAGE)}\n{_meaning(file.read_text())}\n".encode())
    return digest.hexdigest()


def _meaning(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body[:1] = []
    return ast.dump(tree)


def address(recipe: Mapping[str, Any], benchmark: str) -> str:
    """12 hex digits that stand for a deciding recipe, the data's fingerprint and the code that matters."""
    text = json.dumps([recipe, benchmark, code_digest()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
