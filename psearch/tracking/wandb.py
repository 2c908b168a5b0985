"""Weights & Biases: one run per job, offline unless asked, beside `metrics.jsonl`, which stays the record.

A job that is stopped and resumed continues the same wandb run (its id lies in the run's directory). Offline,
each attempt is a folder of its own; `psearch.sync` makes one run of all of them. What an attempt logged after
its last checkpoint is then there twice, since wandb cannot take back; in `metrics.jsonl` it is not.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from psearch.tracking.jsonl import JsonLines
from psearch.tracking.session import finish, keep_inside, stable_id, start
from psearch.tracking.tracker import Picture

log = logging.getLogger(__name__)


class Wandb:
    """A tracker that mirrors every row to wandb.

    study: wandb's group. mode: "offline", "online" or "disabled". fallback: whether a run that cannot go
    online goes offline, with a warning, or fails. checkpoint: whether the trained weights are uploaded, as an
    artifact. finish_timeout: seconds to wait for uploads at the end (what is left stays on disk).
    system_metrics: whether wandb samples this machine's load. Raises ValueError for an unknown mode, or if
    online fails and `fallback` is off.
    """

    def __init__(
        self,
        *,
        directory: Path | str,
        config: Mapping[str, Any],
        study: str,
        name: str,
        tags: Sequence[str] = (),
        job_type: str = "train",
        project: str = "psearch",
        entity: str | None = None,
        mode: str = "offline",
        fallback: bool = True,
        checkpoint: bool = False,
        init_timeout: float = 60,
        finish_timeout: float = 300,
        system_metrics: bool = True,
    ) -> None:
        if mode not in ("offline", "online", "disabled"):
            raise ValueError(f"logger.mode={mode}: choose offline, online or disabled")
        self._lines = JsonLines(directory=directory)
        self._directory = directory = Path(directory).resolve()
        self._own_environment = keep_inside(directory)
        self._uploads_weights = checkpoint
        self._complaints: set[str] = set()
        settings = {
            "console": "off",  # a progress bar would become thousands of lines
            "capture_loggers": {"psearch": "INFO"},
            "silent": True,
            "init_timeout": init_timeout,
            "finish_timeout": finish_timeout,
            "finish_timeout_raises": True,
            "x_transaction_log_flush_interval": 1.0,  # by default a killed job loses 15 s, or all
            "x_disable_stats": not system_metrics,
        }
        self._run = start(
            mode,
            fallback=fallback,
            settings=settings,
            id=stable_id(directory / "wandb_id"),
            resume="allow",
            dir=directory,
            project=project,
            entity=entity,
            group=study,
            name=name[:128],
            tags=list(dict.fromkeys(tag[:64] for tag in tags if tag)),
            job_type=job_type,
            config=dict(config),
            allow_val_change=True,
        )
        for axis, metrics in {"step": "train/*", "epoch": "val/*"}.items():
            self._run.define_metric(axis, hidden=True)
            self._run.define_metric(metrics, step_metric=axis)

    @property
    def rows(self) -> int:
        return self._lines.rows

    def log(self, values: Mapping[str, float], **axes: float) -> None:
        self._lines.log(values, **axes)
        self._mirror("rows", lambda: self._run.log({**values, **axes}))  # with step= a resumed run drops rows

    def summary(self, values: Mapping[str, float | str]) -> None:
        self._lines.summary(values)
        self._mirror("summary", lambda: self._run.summary.update(dict(values)))

    def table(
        self,
        name: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[object]],
        *,
        bar: tuple[str, str] | None = None,
        scatter: tuple[str, str] | None = None,
    ) -> None:
        self._lines.table(name, columns, rows)
        import wandb

        def made() -> wandb.Table:
            return wandb.Table(
                columns=list(columns), data=[list(row) for row in rows], allow_mixed_types=True
            )

        def act() -> None:
            content: dict[str, Any] = {name: made()}
            if bar:
                content[f"{name}_bar"] = wandb.plot.bar(made(), *bar, title=bar[1])
            if scatter:
                title = f"{scatter[1]} against {scatter[0]}"
                content[f"{name}_scatter"] = wandb.plot.scatter(made(), *scatter, title=title)
            self._run.log(content)

        self._mirror(f"table {name}", act, asks=True)

    def images(self, name: str, pictures: Sequence[Picture]) -> None:
        self._lines.images(name, pictures)
        labels = sorted({frame.label for picture in pictures for frame in picture.frames})
        self._mirror(
            f"images {name}", lambda: self._run.log({name: [_image(picture, labels) for picture in pictures]})
        )

    def checkpoint(self, path: Path) -> None:
        if not self._uploads_weights:
            return
        import wandb

        def act() -> None:
            artifact = wandb.Artifact(self._directory.name, type="model")
            artifact.add_file(str(path), policy="immutable")  # without a second copy on disk
            self._run.log_artifact(artifact)

        self._mirror("checkpoint", act, asks=True)

    def rewind(self, rows: int) -> None:
        self._lines.rewind(rows)

    def __enter__(self) -> Wandb:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.__exit__(kind, error, trace)
        try:
            if error is not None and not isinstance(error, Exception):
                self._run.mark_preempting()
            exit_code = 0 if error is None else getattr(error, "exit_code", 1)
            self._mirror("end", lambda: finish(self._run, exit_code))
        finally:
            for variable in self._own_environment:
                os.environ.pop(variable, None)

    def _mirror(self, what: str, act: Callable[[], object], *, asks: bool = False) -> None:
        """A mirror must not stop the work. asks: wandb asks its server here, which takes 20 s if that is
        gone; it is not asked again after the first trouble."""
        try:
            if not (asks and self._complaints):
                act()
        except Exception as error:
            if what not in self._complaints:
                reason = " ".join(str(error).split())
                log.warning("wandb did not take the %s (%s); it lies in the run's directory", what, reason)
            self._complaints.add(what)


def _image(picture: Picture, labels: Sequence[str]) -> Any:
    import wandb

    edges = ("minX", "minY", "maxX", "maxY")
    data = [
        {
            "position": dict(zip(edges, frame.box, strict=True)),
            "domain": "pixel",
            "class_id": labels.index(frame.label),
            "box_caption": frame.caption or frame.label,
        }
        for frame in picture.frames
    ]
    boxes = {"people": {"box_data": data, "class_labels": dict(enumerate(labels))}} if data else None
    return wandb.Image(str(picture.path), caption=picture.caption, boxes=boxes)
