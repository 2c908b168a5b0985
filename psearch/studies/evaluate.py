"""A checkpoint, or detections from anywhere, evaluated apart from any training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from psearch import distributed
from psearch.build import build
from psearch.engine.process_group import join
from psearch.evaluation.detections_file import DETECTIONS, write_detections
from psearch.evaluation.result import RANKING, Evaluation, write_ranking
from psearch.files import replace_json, replace_text
from psearch.identity import config_hash
from psearch.runs import checkpoint, places
from psearch.runs.labels import summary
from psearch.studies.measurement import Yardstick, device_named, measure, origin, short
from psearch.studies.recipe import restored_task


def evaluate(config: dict[str, Any]) -> float:
    """Evaluate what `conf/evaluate.yaml` names, print it and write `results.json`, as a training does.
    Several ranks share the work; the first one prints and writes.

    config: resolved and plain. Returns search mAP, or `gt_mAP` of a network that does not detect.
    Raises ValueError for a file that is missing, damaged or of other data, and where nothing or both
    a checkpoint and detections are named.
    """
    home = places.outputs(config.get("outputs"))
    subject = _subject(config, home)
    evaluation = dict(config["evaluation"])
    if config["protocol"]:
        evaluation["evaluator"] = evaluation["evaluator"] | {"protocol": config["protocol"]}
    whole = {**subject.config, "evaluation": evaluation}
    join(gpu=config["device"] != "cpu" and torch.cuda.is_available())
    distributed.on_first_rank(
        lambda: build(whole["data"]) and None
    )  # renders or reads what all find ready then
    benchmark = build(whole["data"])
    device = device_named(config["device"])
    yardstick = Yardstick.of(benchmark, evaluation, device=device, workers=config["workers"])
    found, measured = subject.measured(yardstick)
    results = {"status": "ok", "role": "student"} | subject.known(benchmark.name) | measured | origin(whole)
    output = Path(config["output"] or places.evaluations_directory(home) / _job(subject, whole))

    def tell() -> None:
        _write(output, whole, results)
        write_ranking(output / RANKING, found.result.ranking)
        print(summary(results), f"results: {short(output / 'results.json')}", sep="\n")
        if config["save_detections"]:
            file = output / DETECTIONS
            write_detections(file, yardstick.split.scenes, found.detections, found.query_embeddings)
            print(f"detections: {short(file)}")

    distributed.on_first_rank(tell)
    return float(results["metrics"].get("mAP", results["metrics"].get("gt_mAP")))


def _job(subject: _Checkpoint | _File, config: dict[str, Any]) -> str:
    """`<run>-<last or best>-<6 hex of its file and the config>`: same arguments, same directory."""
    text = f"{subject.path.resolve()} {config_hash(config)}"
    return f"{subject.name}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def _write(output: Path, config: dict[str, Any], results: dict[str, Any]) -> None:
    output.mkdir(parents=True, exist_ok=True)
    replace_text(output / "config.yaml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    replace_json(output / "results.json", results)


def _subject(config: Mapping[str, Any], home: Path) -> _Checkpoint | _File:
    if bool(config["checkpoint"]) == bool(config["detections"]):
        raise ValueError("name what to evaluate: either checkpoint=FILE.pt or detections=FILE.npz")
    data = config.get("data")
    if config["checkpoint"]:
        return _Checkpoint.of(Path(config["checkpoint"]), data, home)
    if not data:
        raise ValueError("detections= are of a data set: add data=… (and its data.root=…) to the command")
    path = Path(config["detections"])
    if not path.is_file():
        raise ValueError(f"there are no detections {path}: check the path")
    return _File(path, {"data": data, "seed": 0})


@dataclass(frozen=True, eq=False)
class _Checkpoint:
    """A network, and the config it was trained by, with the data it is to be measured on."""

    path: Path
    state: Mapping[str, Any]
    config: dict[str, Any]

    @classmethod
    def of(cls, path: Path, data: Any, home: Path) -> _Checkpoint:
        state = checkpoint.load(path)
        trained = state.get("config")
        if not isinstance(trained, dict) or "data" not in trained:
            raise ValueError(f"{path} is no checkpoint of psearch: it does not say what it was trained by")
        there = places.moved(trained, home)  # rendered data are those of this command
        return cls(path, state, {**there, "data": data or there["data"]})

    @property
    def name(self) -> str:
        return "-".join([self.path.resolve().parent.name, self.path.stem])

    def measured(self, yardstick: Yardstick) -> tuple[Evaluation, dict[str, Any]]:
        task = restored_task(self.state, self.path).to(yardstick.device)
        return measure(task, yardstick)

    def known(self, data: str) -> dict[str, Any]:
        """Its variant and teacher as its run recorded them; a run that is not finished has a name only."""
        try:
            run = json.loads((self.path.parent / "results.json").read_text())
        except (OSError, ValueError):
            run = {}
        variant = run.get("variant") or _variant(self.path.resolve().parent.name, self.config["seed"])
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
    config: dict[str, Any]

    @property
    def name(self) -> str:
        return self.path.stem

    def measured(self, yardstick: Yardstick) -> tuple[Evaluation, dict[str, Any]]:
        evaluation = yardstick.file(self.path)
        return evaluation, yardstick.record(evaluation) | {"cost": {}}

    def known(self, data: str) -> dict[str, Any]:
        """Nothing but its name."""
        variant = _variant(self.path.stem, self.config["seed"]) | {"data": data}
        return {"variant": variant, "teachers": [], "training": {}}


def _variant(name: str, seed: int) -> dict[str, Any]:
    words = {"student": name, "compression": "", "teacher": "none", "distill": "none"}
    return words | {"seed": seed, "overrides": []}
