"""A made-up study on disk: run directories with every file the report reads, and a street to search.

The answers to the searches are drawn at random, better ones for better taught students; AP and mAP follow
from them. Also for tests of other rooms: `fake_study(path)`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import yaml

from psearch.report.comparison import compare
from psearch.report.page import ReportPaths, write_comparison
from psearch.report.searches import RankedSearch
from tests.report.fake_street import FakeStreet

PROTOCOL = {
    "dataset": "synthetic",
    "fingerprint": "f1e2d3c4b5a6",
    "split": "test",
    "gallery_size": 20,
    "mode": "strict",
    "score": 0.5,
    "nms": 0.4,
    "queries": 40,
    "queries_without_detection": 1,
}
SKILLS = {"none": 0.10, "identities": 0.19, "features": 0.14, "full": 0.21}
SIZES = {"tiny": 0.4, "small": 1.5, "r18": 12.0}


def fake_results(
    *,
    mAP: float | None = 0.1,
    seed: int = 1,
    student: str = "oim",
    compression: str = "tiny",
    teacher: str = "none",
    distill: str = "none",
    role: str = "student",
    overrides: Sequence[str] = (),
    teacher_directory: str | None = None,
    metrics: dict[str, float] | None = None,
    protocol: dict[str, Any] | None = None,
    per_query: Sequence[float] = (),
) -> dict[str, Any]:
    """A results.json as docs/architecture.md describes it. `mAP=None`: a teacher that does not detect."""
    search = (
        {} if mAP is None else {"mAP": mAP, "top1": mAP * 1.2, "detection_AP": 0.81, "detection_recall": 0.88}
    )
    size = SIZES.get(compression, 24.0)
    variant = {"student": student, "compression": compression, "teacher": teacher, "distill": distill}
    return {
        "status": "ok",
        "role": role,
        "variant": {**variant, "seed": seed, "overrides": list(overrides)},
        "protocol": {**PROTOCOL, **(protocol or {})},
        "metrics": {**search, "gt_mAP": 0.3, "gt_top1": 0.4, **(metrics or {})},
        "per_query": {"AP": list(per_query), "top1": [float(ap > 0.5) for ap in per_query]},
        "cost": {
            "parameters": int(size * 1e6),
            "macs": int(size * 4e8),
            "latency_ms": 6 + 3 * size + 0.1 * seed,
            "threads": 1,
            "device": "cpu",
            "input": [240, 400],
            "file_bytes": int(size * 4e6),
        },
        "training": {"epochs": 12, "steps": 1200, "seconds": 180.0, "peak_memory_mb": 900},
        "teachers": [{"name": teacher, "directory": teacher_directory, "fingerprint": "abc"}]
        if teacher_directory
        else [],
        "code": {"commit": "8b5e3cb0123456789", "dirty": False},
        "machine": {"cpu": "a cpu", "cores": 2, "python": "3.11.7", "torch": "2.15"},
        "config_hash": f"{seed:06x}",
    }


def write_run(
    directory: Path, results: dict[str, Any] | None, *, config: dict[str, Any] | None = None
) -> Path:
    """A run directory with results.json and config.yaml."""
    directory.mkdir(parents=True, exist_ok=True)
    if results is not None:
        (directory / "results.json").write_text(json.dumps(results))
    if config is not None:
        (directory / "config.yaml").write_text(yaml.safe_dump(config))
    return directory


def write_failed(directory: Path, error: str) -> Path:
    """A run directory that a failed job leaves behind."""
    write_run(directory, None, config={"seed": 3})
    (directory / "FAILED").write_text(json.dumps({"error": error, "traceback": f"Traceback …\n{error}"}))
    (directory / "log.txt").write_text(error)
    return directory


def write_curves(directory: Path, *, level: float, seed: int, steps: int = 300) -> None:
    """A metrics.jsonl with losses per step and a validation mAP per epoch."""
    generator = np.random.default_rng(seed)
    lines = []
    for step in range(0, steps, 2):
        decay = np.exp(-3 * step / steps)
        losses = {
            f"train/{name}": scale * (decay + generator.normal(0, 0.04)) for name, scale in LOSSES.items()
        }
        lines.append({"step": step, "epoch": step // 30, **losses, "lr": 0.01 * decay})
        if step % 30 == 28:
            lines.append({"step": step, "epoch": step // 30, "val/mAP": level * (1 - decay)})
    (directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


LOSSES = {"loss": 6.0, "identity": 4.0, "objectness": 0.6}


@dataclass(frozen=True)
class FakeStudy:
    """Where the run directories are, and what `write_report` takes besides."""

    directory: Path
    street: FakeStreet
    searches: dict[str, list[RankedSearch]]


def fake_study(
    root: Path,
    *,
    seeds: Iterable[int] = (1, 2),
    distills: Iterable[str] = ("none", "identities"),
    compressions: Iterable[str] = ("tiny",),
    failed: int = 1,
    steps: int = 300,
) -> FakeStudy:
    """`root/outputs/fake` with one run per combination, a re-ID teacher beside it and a two-step row."""
    teacher = root / "outputs" / "teachers" / "reid-0a1b2c"
    results = fake_results(
        mAP=None, student="reid", compression="r50", role="teacher", metrics={"gt_mAP": 0.78}
    )
    write_run(teacher, results, config=_config("reid", "r50", "none", 0))
    study = FakeStudy(root / "outputs" / "fake", FakeStreet(), {})
    two_step = fake_results(mAP=0.52, compression="r18", teacher="reid", role="two_step",
                            teacher_directory=str(teacher), metrics={"gt_mAP": 0.78})  # fmt: skip
    write_run(study.directory / "two_step-reid", two_step)
    for compression, distill, seed in product(compressions, distills, seeds):
        _write_student(study, teacher, compression, distill, seed, steps)
    for number in range(failed):
        name = f"oim-tiny-reid-features-seed{number}-ffffff"
        write_failed(study.directory / name, "ValueError: the loss 'features' is not finite at step 40")
    return study


NASTY = "</script><img src=x onerror=alert(1)>\"'&{{ 7*7 }}"


def nasty_study(root: Path) -> Path:
    """A study in which every name, override, config key, metric and error tries to break out of the page."""
    study = root / f"study {NASTY.replace('/', '')}"
    for number, distill in enumerate(["none", NASTY]):
        results = fake_results(
            mAP=0.1 + 0.1 * number, student=NASTY, distill=distill, teacher=NASTY,
            overrides=[f"note={NASTY}"], protocol={"dataset": NASTY}, per_query=[0.1 * number] * 3,
        )  # fmt: skip
        config = {"seed": 1, "x": {NASTY: NASTY, "constructor": number}}
        run = write_run(study / f"run{number}{NASTY.replace('/', '')}", results, config=config)
        write_curves(run, level=0.2, seed=number, steps=40)
        with (run / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({"step": 1, NASTY: 1.0, "__proto__": 2.0}) + "\n")
    write_failed(study / "broken", f"ValueError: {NASTY}")
    return study


def _write_student(
    study: FakeStudy, teacher: Path, compression: str, distill: str, seed: int, steps: int
) -> None:
    taught = distill != "none"
    name = f"oim-{compression}-{'reid' if taught else 'none'}-{distill}-seed{seed}-{seed:06x}"
    draw = crc32(name.encode())
    size = 0.03 * np.log10(SIZES.get(compression, 1) / 0.4)
    searches, per_query = study.street.searches(skill=SKILLS.get(distill, 0.15) + size, seed=draw)
    level = float(np.mean(per_query))
    results = fake_results(
        mAP=level, seed=seed, compression=compression, teacher="reid" if taught else "none", distill=distill,
        teacher_directory=str(teacher) if taught else None, per_query=per_query,
        overrides=["trainer.epochs=12"],
        metrics={"gt_mAP": level * 1.5, "detection_AP": 0.7 + draw % 89 / 999},
    )  # fmt: skip
    directory = write_run(study.directory / name, results, config=_config("oim", compression, distill, seed))
    write_curves(directory, level=level, seed=draw, steps=steps)
    _write_detections(directory, study.street, np.random.default_rng(draw))
    study.searches[name] = searches


def _write_detections(directory: Path, street: FakeStreet, generator: np.random.Generator) -> None:
    images = np.repeat([scene.name for scene in street.scenes], 4)
    boxes = np.concatenate([scene.boxes for scene in street.scenes])
    boxes = boxes + generator.normal(0, 5, boxes.shape).astype(np.float32)
    boxes[::7] += 45
    scores = generator.uniform(0.4, 1, len(boxes)).astype(np.float32)
    embeddings = generator.normal(size=(len(boxes), 8)).astype(np.float32)
    np.savez(directory / "detections.npz", images=images, boxes=boxes, scores=scores, embeddings=embeddings,
             query_embeddings=embeddings[:40])  # fmt: skip


def _config(student: str, compression: str, distill: str, seed: int) -> dict[str, Any]:
    terms = {} if distill == "none" else {distill: {"_target_": f"psearch.distill.{distill}", "weight": 1.0}}
    return {
        "seed": seed,
        "study": "fake",
        "student": {"task": {"_target_": f"psearch.tasks.task.{student}"}},
        "compression": {"backbone": {"_target_": "psearch.models.backbone", "name": compression}},
        "teacher": {} if distill == "none" else {"checkpoint": None, "trainer": {"epochs": 20}},
        "distill": terms,
        "trainer": {"epochs": 12, "optimizer": {"lr": 0.002, "weight_decay": 0.05}},
        "evaluation": {"score": 0.5, "nms": 0.4, "protocol": "strict"},
    }


def write_report(study: Path, **pictures: Any) -> ReportPaths:
    """Compare the runs of one study and write its report into it."""
    return write_comparison(compare([study]), study, title=study.resolve().name, **pictures)
