"""What distillation costs: one training step on the same batch of the synthetic benchmark's size, per set of
terms, and one forward of the teacher alone. Read `min` of `make bench ARGS='-k distillation'`."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from psearch.build import build
from psearch.distill.distillation import Distillation
from psearch.distill.teacher import IdentityFeatures, Teacher
from psearch.studies.recipe import make_task
from psearch.tasks.search import PARTS, SearchTask
from psearch.tasks.task import DatasetFacts
from psearch.types import Batch
from tests import toys
from tests.study import composed

FACTS = DatasetFacts(identities=300, anchor_sizes=(30.0, 38.0, 46.0, 56.0), aspect=2.6)
SETS = ("none", "identities", "detector", "embeddings", "[detector,identities]", "full")
SETS += ("fgd", "hkd", "dkd", "ddps")


def people() -> IdentityFeatures:
    generator = torch.Generator().manual_seed(0)
    embeddings = normalize(torch.randn(300, 256, generator=generator), dim=1)
    return IdentityFeatures(embeddings, torch.arange(300), "data", "net")


@cache
def task(compression: str, terms: str) -> SearchTask:
    """A task as the config makes it, taught by a `small` network."""
    config, _ = composed(f"compression={compression}", "teacher=oim", f"distill={terms}")
    torch.manual_seed(0)
    student = make_task(config, FACTS)
    assert isinstance(student, SearchTask)
    student.to(memory_format=torch.channels_last)
    if config.terms:
        nodes = {name: build(node) for name, node in config.terms.items()}
        student.learn_from(Distillation([teacher()], nodes, student=student.network))
    return student.train()


@cache
def teacher() -> Teacher:
    network = task("small", "none").network
    return Teacher(network, name="oim", fingerprint="net", provides=PARTS, identity_features=people)


@cache
def scenes() -> Batch:
    """Eight scenes of 128 x 192 pixels with three people each."""
    small = toys.batch(people=(3,) * 8, identities=300)
    images = interpolate(small.images, scale_factor=2).to(memory_format=torch.channels_last)
    return replace(small, images=images, sizes=2 * small.sizes, boxes=[2 * boxes for boxes in small.boxes])


def step(student: SearchTask, optimizer: torch.optim.Optimizer) -> Tensor:
    losses = student(scenes())
    total = torch.stack([losses[name] * weight for name, weight in student.weights.items()]).sum()
    optimizer.zero_grad()
    total.backward()
    optimizer.step()
    student.after_step()
    return total.detach()


@pytest.mark.parametrize("terms", SETS)
def test_distillation_step(benchmark, terms):
    student = task("tiny", terms)
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-5, fused=True)
    benchmark.group = "a training step"
    assert benchmark.pedantic(step, (student, optimizer), rounds=15, warmup_rounds=3).isfinite()


def test_distillation_teacher_forward(benchmark):
    """What `detector` may cost on top of a step: one forward of the teacher at the student's boxes."""
    boxes = [boxes.repeat(7, 1)[:20] for boxes in scenes().boxes]
    benchmark.group = "a training step"
    wanted = PARTS - {"embeddings"}
    seen = benchmark.pedantic(teacher().observe, (scenes().images, boxes, wanted), rounds=15, warmup_rounds=3)
    assert seen.box_logits is not None and seen.embeddings is None
