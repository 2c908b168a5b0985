"""The training loop: steps, metrics, validation, checkpoints; stopped or not, it ends at the same weights."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from psearch import ranks
from psearch.tracking.progress import Progress
from psearch.tracking.tracker import Tracker
from psearch.training import checkpoint
from psearch.training.contract import Loader, Task, Validate
from psearch.training.descent import Descent
from psearch.training.identity import differences
from psearch.training.interruption import Interruption
from psearch.training.record import code, peak_memory_mb
from psearch.training.run import Run
from psearch.training.synchronised import synchronise
from psearch.training.window import Window

if TYPE_CHECKING:
    from psearch.training.trainer import Trainer

log = logging.getLogger(__name__)

HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class Position:
    """How far a training is: `step` batches into `epoch`, both from 0; epochs validated, rows logged."""

    epoch: int = 0
    step: int = 0
    validated: int = 0
    best: float | None = None
    rows: int = 0
    seconds: float = 0.0


class Fitting:
    """One call of `Trainer.fit`: everything that lives as long as it."""

    def __init__(
        self,
        trainer: Trainer,
        task: Task,
        loader: Loader,
        run: Run,
        tracker: Tracker,
        seed: int,
        device: torch.device,
        validate: Validate | None,
        facts: dict[str, Any],
    ) -> None:
        self.trainer, self.task, self.loader, self.run, self.tracker = trainer, task, loader, run, tracker
        self.seed, self.device, self.validate, self.facts = seed, device, validate, facts
        self.length = len(loader)
        if ranks.several():
            self.facts["ranks"] = ranks.me().size
        if trainer.norm == "sync":
            synchronise(task, device)
        task.to(device)
        if trainer.channels_last:
            task.to(memory_format=torch.channels_last)
        self.descent = self._make_descent()
        self.code = code()
        self.at = self._restore()
        ranks.alike([*task.parameters(), *task.buffers()])
        self.window = Window(task.weights, finite_gradients=trainer.autocast != "fp16")
        self.since = time.monotonic() - self.at.seconds

    @property
    def steps(self) -> int:
        """Batches since the beginning."""
        return self.at.epoch * self.length + self.at.step

    def finish(self) -> dict[str, Any]:
        """Train what is left to train."""
        total = self.trainer.epochs * self.length
        name, every_s = self.run.directory.name, self.trainer.log_every_s
        progress = Progress(name, total=total, done=self.steps, every_s=every_s)
        with Interruption() as interruption, progress:
            while self._owes_validation() or self.at.epoch < self.trainer.epochs:
                if self._owes_validation():
                    self._validate()
                    continue
                with interruption.deferred():
                    self._train_epoch(interruption, progress)
        ranks.alike(list(self.task.buffers()))
        done = {"epochs": self.at.epoch, "steps": self.steps, "seconds": self.at.seconds}
        done |= {"ranks": ranks.me().size} if ranks.several() else {}
        return done | {"peak_memory_mb": peak_memory_mb(self.device)}

    def _train_epoch(self, interruption: Interruption, progress: Progress) -> None:
        """To the epoch's end or to where an interruption is asked for; saved there."""
        self.task.train()
        self.loader.set_epoch(self.at.epoch, self.at.step)
        for batch in self.loader:
            whole = self._train_batch(batch)
            progress.advance()
            stop = self.at.step == self.length or (whole and interruption.asked())
            if stop or self.at.step % self.trainer.log_every == 0:
                progress.show(self._log_losses())
            if stop:
                break
        if self.at.step == self.length:
            self.at.epoch, self.at.step = self.at.epoch + 1, 0
        self._save()

    def _train_batch(self, batch: Any) -> bool:
        """Forward, backward and, when enough batches are accumulated, a step; answers whether it stepped."""
        self._reseed()
        self.task.at_epoch(self.steps / self.length)
        with self._autocast():
            losses = self.task(batch.to(self.device))
        total = self._weigh(losses)
        self.window.add({**losses, "total": total}, batch)
        if self.device.type == "cpu" and not ranks.mean(total).isfinite():
            self.window.read()  # raises before weights are spoilt; a GPU is not made to wait for that
        many = self.trainer.accumulate
        self.descent.backward(total / min(many, self.length - self.at.step // many * many))
        self.at.step += 1
        if self.at.step % many and self.at.step < self.length:
            return False
        self.window.add_gradient(self.descent.step())
        self.task.after_step()
        return True

    def _reseed(self) -> None:
        """Chance in a step is a function of (seed, step). `torch.manual_seed` would do, but costs 1 ms."""
        number = _mix(self.seed, self.steps)
        torch.default_generator.manual_seed(number)
        if self.device.type == "cuda":
            torch.cuda.manual_seed_all(number)

    def _weigh(self, losses: Mapping[str, Tensor]) -> Tensor:
        weights = self.task.weights
        unknown = set(losses) - set(weights)
        assert not unknown, f"losses without a weight: {unknown}"
        counted = [loss.float() * weights[name] for name, loss in losses.items() if weights[name]]
        if not counted:
            raise ValueError(f"nothing to learn: all losses ({', '.join(losses)}) have weight 0")
        return torch.stack(counted).sum()

    def _autocast(self) -> AbstractContextManager[Any]:
        half = self.trainer.autocast
        return nullcontext() if half is None else torch.autocast(self.device.type, HALVES[half])

    def _log_losses(self) -> dict[str, float]:
        row = self.window.read()
        self._log("train", row | {"lr": self.descent.lr, "memory_mb": peak_memory_mb(self.device)})
        return {name: row[name] for name in ("total", *self.task.weights) if name in row}

    def _log(self, prefix: str, values: Mapping[str, float]) -> None:
        row = {f"{prefix}/{name}": value for name, value in values.items()}
        self.tracker.log(row, epoch=self.steps / self.length, step=self.steps)

    def _owes_validation(self) -> bool:
        """At the epochs chosen and after the last; also if a kill came between checkpoint and validation."""
        every, epoch = self.trainer.validate_every, self.at.epoch
        if self.validate is None or not every or self.at.step or self.at.validated == epoch:
            return False
        return epoch % every == 0 or epoch == self.trainer.epochs

    def _validate(self) -> None:
        assert self.validate is not None
        self.task.eval()
        ranks.alike(list(self.task.buffers()))  # BatchNorm saw other images on every rank
        with torch.no_grad():
            metrics = {name: float(value) for name, value in self.validate().items()}
        monitor = self.trainer.monitor
        if monitor not in metrics:
            raise ValueError(f"trainer.monitor={monitor}: choose one of {', '.join(metrics)}")
        better = self.at.best is None or metrics[monitor] > self.at.best
        best = self.at.best = metrics[monitor] if better or self.at.best is None else self.at.best
        self.at.validated = self.at.epoch
        log.info("epoch %d: %s", self.at.epoch, " ".join(f"{k}={v:.4g}" for k, v in metrics.items()))
        self._log("val", metrics)
        self.tracker.summary({f"best/{monitor}": best})
        self._save(best=better)

    def _save(self, *, best: bool = False) -> None:
        self.at.seconds = time.monotonic() - self.since
        self.at.rows = self.tracker.rows
        parts = {name: child.state_dict() for name, child in self.task.named_children()}
        state = self.descent.state_dict() | asdict(self.at)
        state |= {"config": self.run.config, "facts": self.facts, "code": self.code}
        assert not set(parts) & set(state), "a part of the task has a name the checkpoint needs"
        ranks.by_first(lambda: checkpoint.save(self.run.directory, parts | state, best=best))

    def _restore(self) -> Position:
        state = ranks.by_first(lambda: checkpoint.resume(self.run.directory))
        if state is None:
            self.tracker.rewind(0)
            return Position()
        changed = differences(state["config"], self.run.config) + differences(state["facts"], self.facts)
        if changed:
            raise ValueError(
                f"the checkpoint in {self.run.directory} is of another run: {'; '.join(changed)}. Use "
                "another directory=, or remove that one to train anew"
            )
        if state["code"] != self.code:
            log.warning("going on with other code: %s, before it was %s", self.code, state["code"])
        at = self._take_over(state)
        self.tracker.rewind(at.rows)
        log.info("going on at epoch %d, batch %d of %d", at.epoch, at.step, self.length)
        return at

    def _take_over(self, state: Mapping[str, Any]) -> Position:
        try:
            for name, child in self.task.named_children():
                child.load_state_dict(state[name])
            self.descent.load_state_dict(state)
            return Position(**{field.name: state[field.name] for field in fields(Position)})
        except (KeyError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"the checkpoint in {self.run.directory} does not fit this version of the code ({error}): go "
                "back to the version that wrote it, or remove the directory to train anew"
            ) from error

    def _make_descent(self) -> Descent:
        return Descent(
            self.task.parameters(),
            optimizer=self.trainer.optimizer,
            schedule=self.trainer.schedule,
            epochs=self.trainer.epochs,
            steps_per_epoch=-(-self.length // self.trainer.accumulate),
            clip=self.trainer.clip,
            decay_norms=self.trainer.decay_norms,
            scale=self.trainer.autocast == "fp16",
            device=self.device,
        )


def _mix(seed: int, step: int) -> int:
    """63 bits that (seed, step) decide; neighbours have nothing in common."""
    digest = hashlib.blake2b(f"{seed}/{step}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
