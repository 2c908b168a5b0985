"""What a study's students are measured against: their teachers, by the study's own protocol, and for a
teacher that cannot detect the two-step system of the best detector at hand with the teacher's embeddings."""

from __future__ import annotations

import json
import logging
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from psearch.evaluation.detections_file import DETECTIONS, read_detections
from psearch.files import replace_json
from psearch.runs import checkpoint, places, provenance
from psearch.runs.config import RunConfig
from psearch.studies.measurement import EvaluationSetup, measure, network_cost, origin
from psearch.studies.recipe import restored_task
from psearch.studies.teachers import TeacherRun, variant_of, weights_print
from psearch.tasks.task import NetworkTask
from psearch.types import Benchmark

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Student:
    """A finished run of a study."""

    directory: Path
    config: RunConfig
    results: Mapping[str, Any]


def students(study: Path) -> list[Student]:
    """All finished students of a study; others are the report's to list."""
    found, home = [], places.outputs_of(study)
    for path in sorted(study.glob("*/results.json")):
        try:
            results = json.loads(path.read_text())
            plain = yaml.safe_load((path.parent / "config.yaml").read_text())
            config = RunConfig.parse(places.moved(plain, home))
        except (OSError, ValueError, yaml.YAMLError):
            continue
        if results.get("status") == "ok" and results.get("role") == "student":
            found.append(Student(path.parent, config, results))
    return found


def make_references(
    study: Path, benchmark: Benchmark, members: list[Student], *, device: torch.device
) -> None:
    """Write a run directory into the study for each of its teachers and, where needed, its two-step system.

    What is there already is kept as long as it was made from the same data, protocol and detector.
    """
    taught = {known["directory"]: (known, m) for m in members for known in m.results.get("teachers") or ()}
    for directory, (known, member) in taught.items():
        given = member.config.teachers[known["name"]].checkpoint
        given = given or places.located(directory, places.outputs_of(study)) / checkpoint.LAST
        run = TeacherRun(known["name"], given)
        _Reference(study, benchmark, members, member, run, device, known).make()


class _Reference:
    """One teacher as a row, or two, of the comparison."""

    def __init__(
        self,
        study: Path,
        benchmark: Benchmark,
        members: list[Student],
        member: Student,
        teacher: TeacherRun,
        device: torch.device,
        known: Mapping[str, Any],
    ) -> None:
        self.study, self.benchmark, self.members = study, benchmark, members
        self.member, self.teacher, self.device, self.known = member, teacher, device, known
        workers = member.config.trainer.get("workers", 0)
        self.yardstick = EvaluationSetup.of(
            benchmark, member.config.evaluation, device=device, workers=workers
        )
        self.recipe = member.config.teachers[teacher.name].recipe
        self.seed = self.recipe.seed if self.recipe else 0

    def make(self) -> None:
        task = self.teacher.task()
        self._keep("teacher", self.teacher.directory.name, task, None)
        if not task.network.detects:
            same = [
                m
                for m in self.members
                if m.config.plain["evaluation"] == self.member.config.plain["evaluation"]
            ]
            best = max(same, key=lambda m: m.results["metrics"].get("detection_AP", 0.0))
            self._keep("two_step", f"two-step-{self.teacher.directory.name}", task, best)

    def _keep(self, role: str, name: str, task: NetworkTask, detector: Student | None) -> None:
        place, made_from = self.study / name, self._source(task, detector)
        if _made_from(place) == made_from:
            return
        log.info("evaluating the %s %s", role.replace("_", "-"), self.teacher.name)
        results = self._two_step(task, detector) if detector else self._teacher(task)
        self._write(place, results | {"status": "ok", "role": role, "made_from": made_from})

    def _source(self, task: NetworkTask, detector: Student | None) -> dict[str, Any]:
        return {
            "teacher": weights_print(task.network),
            "data": self.benchmark.fingerprint,
            "evaluation": self.member.config.plain["evaluation"],
            "detector": detector.directory.name if detector else None,
        }

    def _teacher(self, task: NetworkTask) -> dict[str, Any]:
        _, measured = measure(task.to(self.device), self.yardstick)
        if "embeddings" not in task.provides:
            measured = _only_detection(measured)
        variant = variant_of(self.teacher.name, self.seed) | {"data": self.benchmark.name}
        return (
            {"variant": variant, "teachers": []} | measured | origin(self.recipe.plain if self.recipe else {})
        )

    def _two_step(self, task: NetworkTask, best: Student) -> dict[str, Any]:
        split = self.yardstick.split
        found, _ = read_detections(best.directory / DETECTIONS, split.scenes, queries=len(split.queries))
        evaluation = self.yardstick.two_step(task.to(self.device).network, found)
        upper = json.loads((self.study / self.teacher.directory.name / "results.json").read_text())["metrics"]
        words = {key: best.results["variant"][key] for key in ("student", "compression", "distill")}
        words["teacher"] = self.teacher.name
        return {
            "variant": variant_of(self.teacher.name, self.seed) | words | {"data": self.benchmark.name},
            **self.yardstick.record(evaluation),
            "metrics": evaluation.metrics | {key: upper[key] for key in ("gt_mAP", "gt_top1")},
            "teachers": [dict(self.known)],
        } | origin(self.recipe.plain if self.recipe else {})

    def _write(self, place: Path, results: dict[str, Any]) -> None:
        place.mkdir(parents=True, exist_ok=True)
        own = self.teacher.directory / "config.yaml"
        if own.exists():
            shutil.copyfile(own, place / "config.yaml")
        replace_json(place / "results.json", results)


def _only_detection(measured: Mapping[str, Any]) -> dict[str, Any]:
    """The measurements of a network that never learnt who people are, without its meaningless searches."""
    metrics = {name: value for name, value in measured["metrics"].items() if name.startswith("detection_")}
    return {**measured, "metrics": metrics, "per_query": {}, "intervals": {}, "searches": {}}


def _made_from(place: Path) -> Any:
    try:
        return json.loads((place / "results.json").read_text()).get("made_from")
    except (OSError, ValueError):
        return None


COST = "cost.json"


def measure_costs(members: Sequence[Student], benchmark: Benchmark, *, device: torch.device) -> None:
    """Write `cost.json` beside each member's results, once per architecture and machine.

    Runs of one architecture share one measurement. Without its checkpoint a run keeps the cost that it
    measured itself.
    """
    alike: dict[str, list[Student]] = defaultdict(list)
    for member in members:
        if (member.directory / checkpoint.LAST).exists():
            parts = [
                member.config.student,
                member.config.compression,
                str(device),
                provenance.machine(),
            ]
            alike[json.dumps(parts, sort_keys=True)].append(member)
    for architecture, same in alike.items():
        if all(_measured(member.directory / COST) == architecture for member in same):
            continue
        path = same[0].directory / checkpoint.LAST
        network = restored_task(checkpoint.load(path), path).network.to(device)
        cost = network_cost(network, benchmark, device=device)
        for member in same:
            replace_json(member.directory / COST, {"cost": cost, "measured": architecture})


def _measured(path: Path) -> str | None:
    try:
        return str(json.loads(path.read_text())["measured"])
    except (OSError, ValueError, KeyError):
        return None
