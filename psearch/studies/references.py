"""What a study's students are measured against: their teachers, by the study's own protocol, and for a
teacher that cannot detect the two-step system of the best detector at hand with the teacher's embeddings."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from psearch.evaluation.detections_file import DETECTIONS, read_detections
from psearch.records import CONFIG, RESULTS, MeasuredCost, RunRecord, TeacherEntry, locate, read_config
from psearch.runs import checkpoint, places, provenance
from psearch.runs.config import RunConfig, TeacherConfig
from psearch.runs.provenance import weights_digest
from psearch.studies.measurement import EvaluationSetup, measure, network_cost, origin
from psearch.studies.recipe import restored_task
from psearch.studies.teachers import TeacherRun, variant_of
from psearch.tasks.task import NetworkTask
from psearch.types import Benchmark

log = logging.getLogger(__name__)

UNAVAILABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError)
"""What building from a study's files may raise where they are not all here, damaged or of another version."""


@dataclass(frozen=True, eq=False)
class Student:
    """A finished run of a study."""

    directory: Path
    config: RunConfig
    record: RunRecord


def students(study: Path) -> list[Student]:
    """All finished students of a study, where record and config are whole; the report lists the others."""
    found = []
    for path in sorted(study.glob(f"*/{RESULTS}")):
        record = RunRecord.read(path.parent)
        if record is None or record.role != "student" or record.variant is None:
            continue
        try:
            plain = places.moved(read_config(path.parent / CONFIG), places.outputs_of(study))
            found.append(Student(path.parent, RunConfig.parse(plain), record))
        except (FileNotFoundError, ValueError):
            continue
    return found


def make_references(
    study: Path, benchmark: Benchmark | None, members: Sequence[Student], *, device: torch.device
) -> list[str]:
    """Write a run directory into the study for each of its teachers and, where needed, its two-step system.

    What is there already is kept as long as it was made from the same teacher, data, protocol and detections;
    nothing else need be here then. benchmark: None if the data is not here. Returns a line for each reference
    that should be made and cannot be.
    """
    teachers = {known.directory: (known, member) for member in members for known in member.record.teachers}
    notes = []
    for known, member in teachers.values():
        reference = _Reference(study, benchmark, members, member, known, device)
        for role in ("teacher", "two_step"):
            try:
                reference.make(role)
            except UNAVAILABLE as error:
                notes.append(reference.excuse(role, error))
    return notes


class _Reference:
    """One teacher as a row, or two, of the comparison."""

    def __init__(
        self,
        study: Path,
        benchmark: Benchmark | None,
        members: Sequence[Student],
        member: Student,
        known: TeacherEntry,
        device: torch.device,
    ) -> None:
        self.study, self.benchmark, self.members = study, benchmark, members
        self.member, self.known, self.device = member, known, device
        name = Path(known.directory).name
        self.rows = {"teacher": study / name, "two_step": study / f"two-step-{name}"}

    def make(self, role: str) -> None:
        """Make the row again unless it is there as it would be made. Raises one of UNAVAILABLE."""
        if role == "two_step" and self._detects():
            return
        made_from = self._source(role)
        if self._differing(role, made_from) == []:
            return
        if not os.access(self.study, os.W_OK):
            raise OSError(f"{self.study} is read-only")
        log.info("evaluating the %s %s", role.replace("_", "-"), self.known.name)
        content = self._two_step() if role == "two_step" else self._teacher()
        self._write(role, RunRecord.parse({"status": "ok", "role": role, "made_from": made_from, **content}))

    def excuse(self, role: str, error: Exception) -> str:
        """Why a row could not be made again, and what stands in the comparison instead."""
        log.debug("no %s of %s", role, self.known.name, exc_info=error)
        name = role.replace("_", "-")
        reason = f"{name} reference of {self.known.name} not made again ({brief(error)})"
        known = RunRecord.read(self.rows[role])
        if known is None:
            return f"{reason}: there is none in the records"
        try:
            others = self._differing(role, self._source(role)) or []
        except UNAVAILABLE:
            others = []
        made = f", which was made from another {' and '.join(others)}" if others and known.made_from else ""
        return f"{reason}: the one in the records is used{made}"

    def _detects(self) -> bool:
        record = RunRecord.read(self.rows["teacher"])
        return record is None or "detection_AP" in record.metrics

    def _differing(self, role: str, made_from: Mapping[str, Any]) -> list[str] | None:
        """What the row in the study was made from otherwise than it would be now; None if there is no row."""
        record = RunRecord.read(self.rows[role])
        if record is None:
            return None
        return [key for key, value in made_from.items() if record.made_from.get(key) != value]

    def _source(self, role: str) -> dict[str, Any]:
        """What decides the row, by content."""
        source = {
            "teacher": self.known.fingerprint,
            "data": self.member.record.protocol.get("fingerprint"),
            "evaluation": self.member.config.plain["evaluation"],
        }
        if role == "two_step":
            found = self.detector.directory / DETECTIONS
            record = RunRecord.read(self.rows[role])
            kept = record.made_from.get("detections") if record else None
            source["detector"] = self.detector.directory.name
            source["detections"] = _digest(found) if found.exists() else kept
        return source

    @cached_property
    def detector(self) -> Student:
        """The best detector that was evaluated like this student."""
        evaluation = self.member.config.plain["evaluation"]
        alike = [member for member in self.members if member.config.plain["evaluation"] == evaluation]
        return max(alike, key=lambda member: member.record.metrics.get("detection_AP", 0.0))

    @cached_property
    def config(self) -> TeacherConfig:
        return self.member.config.teachers[self.known.name]

    @property
    def variant(self) -> dict[str, Any]:
        recipe = self.config.recipe
        return variant_of(self.known.name, recipe.seed if recipe else 0)

    @cached_property
    def teacher(self) -> TeacherRun:
        """Where the teacher lies. ValueError if it is not here."""
        given = self.config.checkpoint
        home = locate(self.member.directory, self.known.directory)
        files = [given] if given else []
        files += [home / (given.name if given else checkpoint.LAST)] if home else []
        path = next((file for file in files if file.exists()), None)
        if path is None:
            raise ValueError(f"its checkpoint is not here: {given or self.known.directory}")
        return TeacherRun(self.known.name, path)

    @cached_property
    def task(self) -> NetworkTask:
        """The teacher's network. ValueError if it is not the one that the student learned from."""
        task = self.teacher.task()
        if self.known.fingerprint not in ("", weights_digest(task.network.state_dict())):
            raise ValueError(f"{self.teacher.checkpoint} holds other weights than its students learned from")
        return task.to(self.device)

    @cached_property
    def setup(self) -> EvaluationSetup:
        if self.benchmark is None:
            raise ValueError("the data is not here")
        workers, evaluation = self.member.config.trainer.get("workers", 0), self.member.config.evaluation
        return EvaluationSetup.of(self.benchmark, evaluation, device=self.device, workers=workers)

    def _teacher(self) -> dict[str, Any]:
        _, measured = measure(self.task, self.setup)
        if "embeddings" not in self.task.provides:
            measured = _only_detection(measured)
        variant = self.variant | {"data": self.setup.benchmark.name}
        return {"variant": variant, "teachers": []} | measured | self._origin()

    def _two_step(self) -> dict[str, Any]:
        best, split = self.detector, self.setup.split
        found, _ = read_detections(best.directory / DETECTIONS, split.scenes, queries=len(split.queries))
        evaluation = self.setup.two_step(self.task.network, found)
        upper = RunRecord.load(self.rows["teacher"]).metrics
        assert best.record.variant is not None
        words = {key: getattr(best.record.variant, key) for key in ("student", "compression", "distill")}
        words |= {"teacher": self.known.name, "data": self.setup.benchmark.name}
        return {
            "variant": self.variant | words,
            **self.setup.record(evaluation),
            "metrics": evaluation.metrics | {key: upper[key] for key in ("gt_mAP", "gt_top1")},
            "teachers": [self.known.to_json()],
        } | self._origin()

    def _origin(self) -> dict[str, Any]:
        return origin(self.config.recipe.plain if self.config.recipe else {})

    def _write(self, role: str, record: RunRecord) -> None:
        place, config = self.rows[role], self.teacher.directory / CONFIG
        place.mkdir(parents=True, exist_ok=True)
        if config.exists():
            shutil.copyfile(config, place / CONFIG)
        record.write(place)


def _only_detection(measured: Mapping[str, Any]) -> dict[str, Any]:
    """The measurements of a network that never learnt who people are, without its meaningless searches."""
    metrics = {name: value for name, value in measured["metrics"].items() if name.startswith("detection_")}
    return {**measured, "metrics": metrics, "per_query": {}, "intervals": {}, "searches": {}}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def brief(error: Exception) -> str:
    """An error in one line; a bare key says what it is."""
    text = f"no {error} in its config" if isinstance(error, KeyError) else str(error)
    return " ".join(text.split()) or type(error).__name__


def measure_costs(
    members: Sequence[Student], benchmark: Benchmark | None, *, device: torch.device
) -> list[str]:
    """Write `cost.json` beside each member's results, once per architecture and machine.

    Runs of one architecture share one measurement. Without its checkpoint a run keeps the cost that it
    measured itself. Returns a line if costs should be measured and cannot be.
    """
    alike: dict[str, list[Student]] = defaultdict(list)
    for member in members:
        if (member.directory / checkpoint.LAST).exists():
            parts = [member.config.student, member.config.compression, str(device)]
            alike[json.dumps([*parts, provenance.machine()], sort_keys=True)].append(member)
    reasons = []
    for architecture, same in alike.items():
        try:
            _measure_cost(architecture, same, benchmark, device)
        except UNAVAILABLE as error:
            reasons.append(brief(error))
    if not reasons:
        return []
    return [f"cost not measured again ({reasons[0]}): what the records say is shown"]


def _measure_cost(
    architecture: str, same: Sequence[Student], benchmark: Benchmark | None, device: torch.device
) -> None:
    known = [MeasuredCost.read(member.directory) for member in same]
    if all(cost is not None and cost.measured == architecture for cost in known):
        return
    if benchmark is None:
        raise ValueError("the data is not here")
    for member in same:
        if not os.access(member.directory, os.W_OK):
            raise OSError(f"{member.directory.parent} is read-only")
    path = same[0].directory / checkpoint.LAST
    network = restored_task(checkpoint.load(path), path).network.to(device)
    cost = MeasuredCost(network_cost(network, benchmark, device=device), architecture)
    for member in same:
        cost.write(member.directory)
