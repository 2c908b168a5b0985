"""One step does what the options say."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import Tensor, nn

from psearch.engine.loop import TrainingLoop
from psearch.engine.optimization import one_cycle, warmup_milestones
from psearch.engine.options import TrainerOptions
from psearch.runs import checkpoint
from psearch.runs.directory import acquire
from psearch.tracking.jsonl import JsonLines
from psearch.types import Batch
from tests.engine.toy import ToyLoader, ToyTask, toy_trainer

CONF = Path(__file__).parents[2] / "conf" / "trainer"
sgd = partial(torch.optim.SGD, lr=1.0)


class Linear(nn.Module):
    """A task without chance: `pull` drives the weights, `spoilt` is what the test makes of it."""

    def __init__(self, *, weights: dict[str, float] | None = None, spoil: Any = None) -> None:
        super().__init__()
        self.network = nn.Linear(6, 3)
        nn.init.constant_(self.network.weight, 0.5)
        nn.init.constant_(self.network.bias, 0.5)
        self.weights = weights or {"pull": 1.0}
        self.spoil = spoil
        self.stepped = 0
        self.epochs: list[float] = []
        self.seen: list[Tensor] = []

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        answer = self.network(batch.images.mean((2, 3)))
        self.seen.append(answer.detach())
        losses = {"pull": answer.float().square().mean()}
        return losses | (self.spoil(answer, batch) if self.spoil else {})

    def at_epoch(self, epoch: float) -> None:
        self.epochs.append(epoch)

    def after_step(self) -> None:
        self.stepped += 1


def constant(optimizer: torch.optim.Optimizer, **_: int) -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)


def fit(
    directory: Path,
    task: Any,
    *,
    length: int = 4,
    size: int = 5,
    trainer: TrainerOptions | None = None,
    facts: dict[str, Any] | None = None,
    seed: int = 0,
    **options: Any,
) -> list[dict[str, float]]:
    plain = {"epochs": 1, "optimizer": sgd, "schedule": constant, "log_every": 1}
    with acquire(directory, {}, wait_s=0) as run, JsonLines(directory=directory) as tracker:
        loader = ToyLoader(length, size)
        chosen = trainer or toy_trainer(**plain | options)
        TrainingLoop(task, loader, chosen, run=run, tracker=tracker, seed=seed, facts=facts).train()
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def test_it_learns(tmp_path: Path) -> None:
    rows = fit(tmp_path, ToyTask(), optimizer=partial(torch.optim.AdamW, lr=0.02), epochs=8, length=6)
    assert rows[-1]["train/fit"] < 0.5 * rows[0]["train/fit"]


def test_the_seed_decides_all_chance_whatever_was_drawn_before(tmp_path: Path) -> None:
    ends = []
    for number, (seed, drawn) in enumerate([(0, 0), (0, 7), (1, 0)]):
        task = ToyTask()
        torch.rand(drawn)
        fit(tmp_path / str(number), task, seed=seed)
        ends.append(next(task.network.parameters()))
    assert torch.equal(ends[0], ends[1]) and not torch.equal(ends[0], ends[2])


def test_raw_losses_are_logged_and_weights_are_applied(tmp_path: Path) -> None:
    def more(answer: Tensor, batch: Batch) -> dict[str, Tensor]:
        return {"extra": answer.mean() * 0 + 3.0}

    task = Linear(weights={"pull": 2.0, "extra": 0.5}, spoil=more)
    row = fit(tmp_path, task)[0]
    assert row["train/extra"] == 3.0
    assert row["train/total"] == pytest.approx(2 * row["train/pull"] + 1.5)
    assert row["step"] == 1 and row["epoch"] == 0.25
    assert row["train/lr"] == 1.0 and row["train/images_per_s"] > 0 and row["train/memory_mb"] > 0


def test_weight_zero_is_watched_and_has_no_gradient(tmp_path: Path) -> None:
    alone, watched = Linear(), Linear(weights={"pull": 1.0, "watched": 0.0})
    watched.spoil = lambda answer, batch: {"watched": answer.sum() / 0}  # infinite, and nobody minds
    fit(tmp_path / "alone", alone)
    rows = fit(tmp_path / "watched", watched)
    assert torch.equal(alone.network.weight, watched.network.weight)
    assert rows[0]["train/watched"] is None  # JSON has no infinity


def test_weights_may_follow_the_training(tmp_path: Path) -> None:
    class Fading(Linear):
        def at_epoch(self, epoch: float) -> None:
            super().at_epoch(epoch)
            self.weights = {"pull": 1.0 - epoch / 2}

    task = Fading()
    rows = fit(tmp_path, task, epochs=2, optimizer=partial(torch.optim.SGD, lr=0.01))
    assert task.epochs == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75]
    for row, epoch in zip(rows, task.epochs, strict=True):
        assert row["train/total"] == pytest.approx((1 - epoch / 2) * row["train/pull"])


def test_a_loss_without_a_weight_is_a_bug(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="stray"):
        fit(tmp_path, Linear(spoil=lambda answer, batch: {"stray": answer.mean()}))


def test_accumulation_equals_a_larger_batch(tmp_path: Path) -> None:
    def of(scene: int) -> Tensor:
        return torch.full((1, 6, 1, 1), float(scene))

    class Scenes(ToyLoader):
        def __iter__(self) -> Any:
            for first in range(0, 6, self.size):
                scenes = list(range(first, first + self.size))
                images = torch.cat([of(scene) for scene in scenes])
                yield Batch(images, torch.ones(self.size, 2), torch.ones(self.size), [], [], [], scenes)

    states = {}
    for accumulate, size in [(1, 3), (3, 1)]:
        task = Linear()
        trainer = toy_trainer(epochs=1, accumulate=accumulate, optimizer=sgd, schedule=constant)
        directory = tmp_path / str(accumulate)
        with acquire(directory, {}) as run, JsonLines(directory=directory) as tracker:
            TrainingLoop(task, Scenes(6 // size, size), trainer, run=run, tracker=tracker, seed=0).train()
        assert task.stepped == 2
        states[accumulate] = task.network.weight.detach()
    assert torch.allclose(states[1], states[3], rtol=1e-5)


def test_a_rest_of_an_epoch_counts_as_a_full_step(tmp_path: Path) -> None:
    task = Linear()
    fit(tmp_path, task, length=5, accumulate=2, epochs=2)
    assert task.stepped == 6


def test_the_gradient_is_clipped_and_its_norm_before_that_is_logged(tmp_path: Path) -> None:
    task = Linear()
    row = fit(tmp_path, task, length=1, clip=0.01)[0]
    moved = torch.stack([(parameter.detach() - 0.5).norm() for parameter in task.parameters()]).norm()
    assert float(moved) == pytest.approx(0.01, rel=1e-3) and row["train/grad_norm"] > 0.1


@pytest.mark.parametrize("decay_norms", [False, True])
def test_weight_decay_spares_vectors_unless_asked(tmp_path: Path, decay_norms: bool) -> None:
    class Still(Linear):
        def forward(self, batch: Batch) -> dict[str, Tensor]:
            return {"pull": 0 * super().forward(batch)["pull"]}

    task = Still()
    fit(tmp_path, task, optimizer=partial(sgd, weight_decay=0.1), decay_norms=decay_norms)
    assert (task.network.weight < 0.5).all()
    assert (task.network.bias < 0.5).all() == decay_norms


def test_a_loss_that_is_not_finite_stops_before_it_spoils_anything(tmp_path: Path) -> None:
    def spoil(answer: Tensor, batch: Batch) -> dict[str, Tensor]:
        return {"region": answer.mean() * (math.inf if 200 in batch.scenes else 0.0)}

    task = Linear(weights={"pull": 1.0, "region": 1.0}, spoil=spoil)
    with pytest.raises(FloatingPointError, match=r"region is -?(inf|nan).* \[200, 201, 202, 203, 204\]"):
        fit(tmp_path, task)
    assert all(parameter.isfinite().all() for parameter in task.parameters())
    assert "pull is" not in json.loads((tmp_path / "FAILED").read_text())["error"]


def test_a_gradient_that_is_not_finite_is_never_saved(tmp_path: Path) -> None:
    def spoil(answer: Tensor, batch: Batch) -> dict[str, Tensor]:
        return {"root": (answer * 0).abs().sqrt().sum()}  # 0, with a gradient of 0 * inf

    with pytest.raises(FloatingPointError, match="grad_norm is nan"):
        fit(tmp_path, Linear(weights={"pull": 1.0, "root": 1.0}, spoil=spoil), log_every=100)
    assert checkpoint.resume(tmp_path) is None


@pytest.mark.parametrize(("autocast", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_autocast_and_back(tmp_path: Path, autocast: str, dtype: torch.dtype) -> None:
    task = Linear()
    fit(tmp_path, task, autocast=autocast, optimizer=partial(torch.optim.SGD, lr=0.1))
    assert task.seen[0].dtype == dtype
    assert task.network.weight.dtype == torch.float32 and (task.network.weight != 0.5).any()


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler")
def test_fp16_skips_a_step_whose_scaled_gradient_overflows(tmp_path: Path) -> None:
    task = Linear(weights={"pull": 1e6})
    fit(tmp_path, task, length=1, autocast="fp16")
    scaler = checkpoint.load(tmp_path / "last.pt")["scaler"]
    assert (task.network.weight == 0.5).all() and scaler["scale"] < 2.0**16


def test_channels_last_reaches_the_weights(tmp_path: Path) -> None:
    class Convolution(Linear):
        def __init__(self) -> None:
            super().__init__()
            self.network = nn.Conv2d(6, 8, 2)  # type: ignore[assignment]

        def forward(self, batch: Batch) -> dict[str, Tensor]:
            return {"pull": self.network(batch.images).square().mean()}

    task = Convolution()
    fit(tmp_path, task, channels_last=True)
    assert task.network.weight.is_contiguous(memory_format=torch.channels_last)


def test_other_facts_are_refused(tmp_path: Path) -> None:
    fit(tmp_path, Linear(), facts={"identities": 300})
    with pytest.raises(ValueError, match="identities: 300 -> 301"):
        fit(tmp_path, Linear(), facts={"identities": 301})


def test_a_checkpoint_of_other_code_is_refused_or_at_least_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit(tmp_path, Linear())
    monkeypatch.setattr("psearch.engine.loop.code", lambda: {"commit": "another", "dirty": False})
    fit(tmp_path, Linear())
    assert "other code" in caplog.text
    task = Linear()
    task.network = nn.Linear(6, 4)
    with pytest.raises(ValueError, match=r"(?s)does not fit this version of the code .*size mismatch"):
        fit(tmp_path, task)


def test_the_monitored_metric_must_be_there(tmp_path: Path) -> None:
    trainer = toy_trainer(epochs=1, validate_every=1, monitor="mAP")
    with (
        pytest.raises(ValueError, match="choose one of top1"),
        acquire(tmp_path, {}) as run,
        JsonLines(directory=tmp_path) as tracker,
    ):
        validate = lambda: {"top1": 0.5}  # noqa: E731
        TrainingLoop(
            Linear(), ToyLoader(), trainer, run=run, tracker=tracker, seed=0, validate=validate
        ).train()


def test_validation_sees_evaluation_mode_and_training_goes_on_in_its_own(tmp_path: Path) -> None:
    task, modes = ToyTask(), []

    def validate() -> dict[str, float]:
        modes.append((task.training, torch.is_grad_enabled()))
        return {"mAP": 0.1}

    trainer = toy_trainer(epochs=5, validate_every=2)
    loader = ToyLoader(before=lambda epoch, index: modes.append((task.training, True)))
    with acquire(tmp_path, {}) as run, JsonLines(directory=tmp_path) as tracker:
        TrainingLoop(task, loader, trainer, run=run, tracker=tracker, seed=0, validate=validate).train()
    assert modes == [*[(True, True)] * 12, (False, False), *[(True, True)] * 12, (False, False),
                     *[(True, True)] * 6, (False, False)]  # fmt: skip


@pytest.mark.parametrize("option", [{"epochs": 0}, {"accumulate": 0}, {"log_every": 0}, {"autocast": "fp8"}])
def test_options_that_make_no_sense(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"trainer.{next(iter(option))}="):
        toy_trainer(**option)


def test_a_task_with_nothing_to_train(tmp_path: Path) -> None:
    task = Linear()
    task.requires_grad_(False)
    with pytest.raises(ValueError, match="nothing to train"):
        fit(tmp_path, task)


def test_losses_that_all_weigh_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="weight 0"):
        fit(tmp_path, Linear(weights={"pull": 0.0}))


def test_threads_are_set(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        fit(tmp_path, Linear(), threads=before + 1)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def rates(schedule: Any, lr: float = 0.003, **options: int) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr, momentum=0.9)
    scheduler = schedule(optimizer, **options)
    seen = []
    for _ in range(options["epochs"] * options["steps_per_epoch"]):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def test_the_published_schedule() -> None:
    seen = rates(warmup_milestones, epochs=20, steps_per_epoch=10)
    assert seen[:10] == pytest.approx([0.0003 * n for n in range(1, 11)])
    assert seen[10:160] == [0.003] * 150
    assert seen[160:] == pytest.approx([0.0003] * 40)


def test_one_cycle_peaks_where_asked_and_ends_at_nothing() -> None:
    seen = rates(partial(one_cycle, warmup=0.2), epochs=5, steps_per_epoch=20)
    assert max(seen) == pytest.approx(0.003) and seen.index(max(seen)) == 19
    assert seen[-1] < 1e-4 * max(seen) and seen[0] < 0.1 * max(seen)


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_builds_and_trains(tmp_path: Path, path: Path) -> None:
    with initialize_config_dir(str(CONF.parent), version_base="1.3"):
        trainer = instantiate(compose(f"trainer/{path.stem}").trainer, epochs=1, workers=0)
    task = ToyTask()
    before = [parameter.detach().clone() for parameter in task.parameters()]
    fit(tmp_path, task, trainer=trainer)
    assert all((a != b).any() for a, b in zip(task.parameters(), before, strict=True))
