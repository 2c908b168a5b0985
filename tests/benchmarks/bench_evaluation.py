"""Evaluation at the real sizes, on simulated detections: `pytest tests/benchmarks/bench_evaluation.py`.

CUHK-SYSU: 6,978 gallery scenes, 2,900 queries, galleries of 50 to 4,000 scenes. PRW: 6,112 frames, 2,057
queries of 450 people. About six detections per scene, 256 numbers per embedding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from psearch.evaluation.detection import coco_AP, evaluate_detection
from psearch.evaluation.detections_file import read_detections, write_detections
from psearch.evaluation.search import search, search_galleries
from psearch.evaluation.similarities import ContextMatching
from psearch.types import UNLABELLED, Detections, Query, Scene

LENGTH = 256
SIZES = (50, 100, 500, 1000, 2000, 4000)


@dataclass(frozen=True, eq=False)
class World:
    """A benchmark and what a middling network finds in it."""

    scenes: list[Scene]
    detections: list[Detections]
    queries: list[Query]
    embeddings: np.ndarray


def simulate(scenes: int, people: int, queries: int) -> World:
    """People in random places of random scenes, detected and described with noise, among false detections."""
    random = np.random.default_rng(0)
    looks = random.standard_normal((people, LENGTH), dtype=np.float32)
    made = [place(random, index, people) for index in range(scenes)]
    found = [detect(random, scene, looks) for scene in made]
    asked = random.permutation(
        [(i, j) for i, scene in enumerate(made) for j in np.flatnonzero(scene.ids >= 0)]
    )
    every = np.arange(scenes)
    wanted = [Query(int(i), made[i].boxes[j], int(made[i].ids[j]), every) for i, j in asked[:queries]]
    return World(made, found, wanted, describe(random, looks[[query.identity for query in wanted]]))


def place(random: np.random.Generator, index: int, people: int) -> Scene:
    n = int(random.integers(2, 7))
    corners, height = random.uniform(0, 1200, (n, 2)), random.uniform(50, 400, (n, 1))
    boxes = np.concatenate([corners, corners + height * [0.4, 1]], axis=1).astype(np.float32)
    ids = np.where(random.random(n) < 0.25, UNLABELLED, random.choice(people, n, replace=False))
    return Scene(f"s{index}.jpg", 1600, 1400, boxes, ids, np.zeros(n, bool), index % 6)


def detect(random: np.random.Generator, scene: Scene, looks: np.ndarray) -> Detections:
    wrong = np.tile(np.array([[0, 0, 60, 150]], np.float32), (int(random.integers(0, 5)), 1))
    boxes = np.concatenate([scene.boxes + random.normal(0, 4, scene.boxes.shape), wrong]).astype(np.float32)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2])
    strangers = random.standard_normal((len(boxes), LENGTH), dtype=np.float32)
    strangers[: len(scene.ids)] = np.where(
        scene.ids[:, None] >= 0, looks[scene.ids], strangers[: len(scene.ids)]
    )
    scores = np.sort(random.uniform(0.45, 1, len(boxes)))[::-1].astype(np.float32)
    return Detections(boxes, scores, describe(random, strangers))


def describe(random: np.random.Generator, looks: np.ndarray) -> np.ndarray:
    noisy = looks + random.standard_normal(looks.shape, dtype=np.float32)
    return noisy / np.linalg.norm(noisy, axis=1, keepdims=True)


@cache
def cuhk() -> World:
    return simulate(6978, 2900, 2900)


@cache
def prw() -> World:
    return simulate(6112, 450, 2057)


@cache
def galleries() -> dict[str, list[Query]]:
    """Of each size, first the scenes with the person."""
    world, random = cuhk(), np.random.default_rng(1)
    holds: dict[int, list[int]] = {}
    for index, scene in enumerate(world.scenes):
        for identity in scene.ids[scene.ids >= 0]:
            holds.setdefault(int(identity), []).append(index)
    orders = [np.append(holds[q.identity], random.permutation(len(world.scenes))) for q in world.queries]
    return {
        str(size): [replace(q, gallery=order[:size]) for q, order in zip(world.queries, orders, strict=True)]
        for size in SIZES
    }


def run(benchmark: Any, function: Any, *arguments: Any, **options: Any) -> Any:
    return benchmark.pedantic(function, args=arguments, kwargs=options, rounds=3, warmup_rounds=0)


@pytest.mark.parametrize("size", ["100", "4000"])
def test_cuhk_search(benchmark: Any, size: str) -> None:
    world = cuhk()
    result = run(benchmark, search, world.scenes, world.detections, galleries()[size], world.embeddings)
    assert 0 < result.mAP < 1


def test_cuhk_search_in_all_galleries(benchmark: Any) -> None:
    world = cuhk()
    results = run(
        benchmark,
        search_galleries,
        world.scenes,
        world.detections,
        world.queries,
        world.embeddings,
        galleries(),
    )
    assert results["50"].mAP > results["4000"].mAP


@pytest.mark.parametrize("rerank", [None, ContextMatching(k1=30, k2=4)], ids=["plain", "context"])
def test_prw_search(benchmark: Any, rerank: ContextMatching | None) -> None:
    world = prw()
    result = run(
        benchmark,
        search,
        world.scenes,
        world.detections,
        world.queries,
        world.embeddings,
        rerank=rerank,
    )
    assert 0 < result.mAP < 1


def test_cuhk_detection_at_four_settings(benchmark: Any) -> None:
    def four() -> list[float]:
        settings = [(score, labelled) for score in (0.5, 0.05) for labelled in (False, True)]
        return [
            evaluate_detection(
                cuhk().scenes, cuhk().detections, score_threshold=score, labelled_only=labelled
            ).AP
            for score, labelled in settings
        ]

    assert 0 < min(run(benchmark, four)) < 1


def test_cuhk_detection_by_coco(benchmark: Any) -> None:
    assert 0 < run(benchmark, coco_AP, cuhk().scenes, cuhk().detections).AP < 1


def test_reading_a_file(benchmark: Any, tmp_path: Path) -> None:
    world, path = cuhk(), tmp_path / "detections.npz"
    write_detections(path, world.scenes, world.detections, world.embeddings)
    found, _ = run(benchmark, read_detections, path, world.scenes, queries=len(world.queries))
    assert len(found) == len(world.scenes)
