"""A checkpoint, or detections from anywhere, evaluated apart from any training."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from psearch import distributed
from psearch.engine.process_group import join
from psearch.evaluation.detections_file import DETECTIONS, write_detections
from psearch.evaluation.result import RANKING, Evaluation, write_ranking
from psearch.files import replace_text
from psearch.identity import config_hash
from psearch.records import CONFIG, RESULTS, RunRecord
from psearch.runs import checkpoint, places
from psearch.runs.config import EvaluateConfig, Node, Recipe
from psearch.runs.labels import summary
from psearch.studies.fit import read_data
from psearch.studies.measurement import EvaluationSetup, device_named, measure, origin, short
from psearch.studies.recipe import restored_task
from psearch.studies.teachers import variant_of


def evaluate(config: EvaluateConfig) -> float:
    """Evaluate a checkpoint or detections, print it and write `results.json`, as a training does. Several
    ranks share the work; the first one prints and writes.

    Returns search mAP, or `gt_mAP` of a network that does not detect. Raises ValueError for a file that is
    missing, damaged or of other data.
    """
    home = config.outputs
    subject = _subject(config, home)
    whole = {**subject.config, "evaluation": config.plain["evaluation"]}
    join(gpu=config.device != "cpu" and torch.cuda.is_available())
    benchmark = read_data(subject.data)
    device = device_named(config.device)
    setup = EvaluationSetup.of(benchmark, config.evaluation, device=device, workers=config.workers)
    found, measured = subject.measured(setup)
    results = {"status": "ok", "role": "student"} | subject.known(benchmark.name) | measured
    results |= origin(whole, data=benchmark.fingerprint)
    name = _job(subject, config_hash(whole, benchmark.fingerprint))
    output = config.output or places.evaluations_directory(home) / name

    def tell() -> None:
        _write(output, whole, results)
        write_ranking(output / RANKING, found.result.ranking)
        print(summary(results), f"results: {short(output / RESULTS)}", sep="\n")
        if config.save_detections:
            file = output / DETECTIONS
            write_detections(file, setup.split.scenes, found.detections, found.query_embeddings)
            print(f"detections: {short(file)}")

    distributed.on_first_rank(tell)
    return float(results["metrics"].get("mAP", results["metrics"].get("gt_mAP")))


def _job(subject: _Checkpoint | _File, measured: str) -> str:
    """`<run>-<last or best>-<6 hex>` of the file, and of the digest of config and data: same arguments and
    data, same directory."""
    text = f"{subject.path.resolve()} {measured}"
    return f"{subject.name}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def _write(output: Path, config: Mapping[str, Any], results: dict[str, Any]) -> None:
    output.mkdir(parents=True, exist_ok=True)
    replace_text(output / CONFIG, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))
    RunRecord.parse(results).write(output)


def _subject(config: EvaluateConfig, home: Path) -> _Checkpoint | _File:
    if config.checkpoint is not None:
        return _Checkpoint.of(config.checkpoint, config.data, home)
    assert config.detections is not None and config.data is not None
    if not config.detections.is_file():
        raise ValueError(f"there are no detections {config.detections}: check the path")
    return _File(config.detections, config.data)


@dataclass(frozen=True, eq=False)
class _Checkpoint:
    """A network, and the config it was trained by, with the data it is to be measured on."""

    path: Path
    state: Mapping[str, Any]
    data: Node
    seed: int

    @classmethod
    def of(cls, path: Path, data: Node | None, home: Path) -> _Checkpoint:
        state = checkpoint.load(path)
        try:
            recipe = Recipe.parse(
                places.moved(state["config"], home)
            )  # rendered data are those of this command
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} is no checkpoint of psearch: it does not say what it was trained by ({error})"
            ) from error
        if not (data or recipe.data):
            raise ValueError(f"{path} does not say which data it is of: add data=… (and its data.root=…)")
        return cls(path, state, data or recipe.data, recipe.seed)

    @property
    def config(self) -> dict[str, Any]:
        """What it was trained by, with the data it is measured on."""
        return {**self.state["config"], "data": self.data}

    @property
    def name(self) -> str:
        return "-".join([self.path.resolve().parent.name, self.path.stem])

    def measured(self, setup: EvaluationSetup) -> tuple[Evaluation, dict[str, Any]]:
        task = restored_task(self.state, self.path).to(setup.device)
        return measure(task, setup)

    def known(self, data: str) -> dict[str, Any]:
        """Its variant and teacher as its run recorded them; a run that is not finished has a name only."""
        record = RunRecord.read(self.path.parent)
        run = record.to_json() if record else {}
        variant = run.get("variant") or variant_of(self.path.resolve().parent.name, self.seed)
        training = {"epochs": self.state["epoch"], "seconds": self.state["seconds"]}
        return {
            "variant": variant | {"data": data},
            "teachers": run.get("teachers", []),
            "training": training,
        }


@dataclass(frozen=True, eq=False)
class _File:
    """What some detector found."""

    path: Path
    data: Node

    @property
    def config(self) -> dict[str, Any]:
        """Of what it is known to be made by: its data."""
        return {"data": self.data, "seed": 0}

    @property
    def name(self) -> str:
        return self.path.stem

    def measured(self, setup: EvaluationSetup) -> tuple[Evaluation, dict[str, Any]]:
        evaluation = setup.file(self.path)
        return evaluation, setup.record(evaluation) | {"cost": {}}

    def known(self, data: str) -> dict[str, Any]:
        """Nothing but its name."""
        variant = variant_of(self.path.stem) | {"data": data}
        return {"variant": variant, "teachers": [], "training": {}}
