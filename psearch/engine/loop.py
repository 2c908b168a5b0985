"""The training loop: steps, metrics, validation, checkpoints; stopped or not, it ends at the same weights."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor

from psearch import distributed
from psearch.engine.meters import LossMeter
from psearch.engine.optimization import Optimization
from psearch.engine.options import AUTOCAST_DTYPES, Loader, Task, TrainerOptions, Validate
from psearch.engine.process_group import synchronise
from psearch.engine.signals import Interruption
from psearch.identity import differences
from psearch.runs import checkpoint
from psearch.runs.directory import Run
from psearch.runs.provenance import code, peak_memory_mb
from psearch.tracking.progress import Progress
from psearch.tracking.tracker import Tracker

log = logging.getLogger(__name__)


@dataclass
class TrainState:
    """How far a training is: `step` batches into `epoch`, both from 0; epochs validated, rows logged."""

    epoch: int = 0
    step: int = 0
    validated: int = 0
    best: float | None = None
    rows: int = 0
    seconds: float = 0.0


class TrainingLoop:
    """Trains `task` in place, from the run's last checkpoint if there is one.

    facts: what decides the result beside the config, as plain values; kept in the checkpoint, and one made
    under other facts is refused (ValueError). validate: measures the task on the validation split.
    """

    def __init__(
        self,
        task: Task,
        loader: Loader,
        options: TrainerOptions,
        *,
        run: Run,
        tracker: Tracker,
        seed: int,
        device: torch.device | str = "cpu",
        validate: Validate | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        device, size = torch.device(device), distributed.current_rank().size
        if options.batch_size % size:
            raise ValueError(
                f"trainer.batch_size={options.batch_size} is the batch of all {size} ranks together and "
                f"cannot be shared evenly: choose a multiple of {size}"
            )
        if options.threads:
            torch.set_num_threads(options.threads)
        self.options, self.task, self.loader, self.run, self.tracker = options, task, loader, run, tracker
        self.seed, self.device, self.validate, self.facts = seed, device, validate, dict(facts or {})
        self.length = len(loader)
        if distributed.is_distributed():
            self.facts["ranks"] = distributed.current_rank().size
        if options.norm == "sync":
            synchronise(task, device)
        task.to(device)
        if options.channels_last:
            task.to(memory_format=torch.channels_last)
        self.optimization = self._make_optimization()
        self.code = code()
        self.state = self._restore()
        distributed.broadcast_tensors([*task.parameters(), *task.buffers()])
        self.meter = LossMeter(task.weights, finite_gradients=options.autocast != "fp16")
        self.since = time.monotonic() - self.state.seconds

    @property
    def steps(self) -> int:
        """Batches since the beginning."""
        return self.state.epoch * self.length + self.state.step

    def train(self) -> dict[str, Any]:
        """Train what is left to train -> {"epochs", "steps" (batches), "seconds" (over all attempts),
        "peak_memory_mb"}.

        Raises FloatingPointError when a loss or gradient is not finite, OSError when a checkpoint cannot be
        written, `Interrupted` when a signal stopped it, saved.
        """
        total = self.options.epochs * self.length
        name, every_s = self.run.directory.name, self.options.log_every_s
        progress = Progress(name, total=total, done=self.steps, every_s=every_s)
        with Interruption() as interruption, progress:
            while self._owes_validation() or self.state.epoch < self.options.epochs:
                if self._owes_validation():
                    self._validate()
                    continue
                with interruption.deferred():
                    self._train_epoch(interruption, progress)
        distributed.broadcast_tensors(list(self.task.buffers()))
        done = {"epochs": self.state.epoch, "steps": self.steps, "seconds": self.state.seconds}
        done |= {"ranks": distributed.current_rank().size} if distributed.is_distributed() else {}
        return done | {"peak_memory_mb": peak_memory_mb(self.device)}

    def _train_epoch(self, interruption: Interruption, progress: Progress) -> None:
        """To the epoch's end or to where an interruption is asked for; saved there."""
        self.task.train()
        self.loader.set_epoch(self.state.epoch, self.state.step)
        for batch in self.loader:
            whole = self._train_batch(batch)
            progress.advance()
            stop = self.state.step == self.length or (whole and interruption.asked())
            if stop or self.state.step % self.options.log_every == 0:
                progress.show(self._log_losses())
            if stop:
                break
        if self.state.step == self.length:
            self.state.epoch, self.state.step = self.state.epoch + 1, 0
        self._save()

    def _train_batch(self, batch: Any) -> bool:
        """Forward, backward and, when enough batches are accumulated, a step; answers whether it stepped."""
        self._reseed()
        self.task.at_epoch(self.steps / self.length)
        with self._autocast():
            losses = self.task(batch.to(self.device))
        total = self._weigh(losses)
        self.meter.add({**losses, "total": total}, batch)
        if self.device.type == "cpu" and not distributed.all_mean(total).isfinite():
            self.meter.read()  # raises before weights are spoilt; a GPU is not made to wait for that
        many = self.options.accumulate
        self.optimization.backward(total / min(many, self.length - self.state.step // many * many))
        self.state.step += 1
        if self.state.step % many and self.state.step < self.length:
            return False
        self.meter.add_gradient(self.optimization.step())
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
        half = self.options.autocast
        return nullcontext() if half is None else torch.autocast(self.device.type, AUTOCAST_DTYPES[half])

    def _log_losses(self) -> dict[str, float]:
        row = self.meter.read()
        self._log("train", row | {"lr": self.optimization.lr, "memory_mb": peak_memory_mb(self.device)})
        return {name: row[name] for name in ("total", *self.task.weights) if name in row}

    def _log(self, prefix: str, values: Mapping[str, float]) -> None:
        row = {f"{prefix}/{name}": value for name, value in values.items()}
        self.tracker.log(row, epoch=self.steps / self.length, step=self.steps)

    def _owes_validation(self) -> bool:
        """At the epochs chosen and after the last; also if a kill came between checkpoint and validation."""
        every, epoch = self.options.validate_every, self.state.epoch
        if self.validate is None or not every or self.state.step or self.state.validated == epoch:
            return False
        return epoch % every == 0 or epoch == self.options.epochs

    def _validate(self) -> None:
        assert self.validate is not None
        self.task.eval()
        distributed.broadcast_tensors(list(self.task.buffers()))  # BatchNorm saw other images on every rank
        with torch.no_grad():
            metrics = {name: float(value) for name, value in self.validate().items()}
        monitor = self.options.monitor
        if monitor not in metrics:
            raise ValueError(f"trainer.monitor={monitor}: choose one of {', '.join(metrics)}")
        better = self.state.best is None or metrics[monitor] > self.state.best
        if better:
            self.state.best = metrics[monitor]
        assert self.state.best is not None
        self.state.validated = self.state.epoch
        log.info("epoch %d: %s", self.state.epoch, " ".join(f"{k}={v:.4g}" for k, v in metrics.items()))
        self._log("val", metrics)
        self.tracker.summary({f"best/{monitor}": self.state.best})
        self._save(best=better)

    def _save(self, *, best: bool = False) -> None:
        self.state.seconds = time.monotonic() - self.since
        self.state.rows = self.tracker.rows
        parts = {name: child.state_dict() for name, child in self.task.named_children()}
        state = self.optimization.state_dict() | asdict(self.state)
        state |= {"config": self.run.config, "facts": self.facts, "code": self.code}
        assert not set(parts) & set(state), "a part of the task has a name the checkpoint needs"
        distributed.on_first_rank(lambda: checkpoint.save(self.run.directory, parts | state, best=best))

    def _restore(self) -> TrainState:
        state = distributed.on_first_rank(lambda: checkpoint.resume(self.run.directory))
        if state is None:
            self.tracker.rewind(0)
            return TrainState()
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

    def _take_over(self, state: Mapping[str, Any]) -> TrainState:
        try:
            for name, child in self.task.named_children():
                child.load_state_dict(state[name])
            self.optimization.load_state_dict(state)
            return TrainState(**{field.name: state[field.name] for field in fields(TrainState)})
        except (KeyError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"the checkpoint in {self.run.directory} does not fit this version of the code ({error}): go "
                "back to the version that wrote it, or remove the directory to train anew"
            ) from error

    def _make_optimization(self) -> Optimization:
        return Optimization(
            self.task.parameters(),
            optimizer=self.options.optimizer,
            schedule=self.options.schedule,
            epochs=self.options.epochs,
            steps_per_epoch=-(-self.length // self.options.accumulate),
            clip=self.options.clip,
            decay_norms=self.options.decay_norms,
            scale=self.options.autocast == "fp16",
            device=self.device,
        )


def _mix(seed: int, step: int) -> int:
    """63 bits that (seed, step) decide; neighbours have nothing in common."""
    digest = hashlib.blake2b(f"{seed}/{step}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
