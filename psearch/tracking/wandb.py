"""Weights & Biases: one run per job, offline unless asked, beside `metrics.jsonl`, which stays the record.

A job that is stopped and resumed continues the same wandb run (its id lies in the run's directory). Offline,
each attempt is a folder of its own; `wandb sync` of all of them gives one run. What an attempt logged after
its last checkpoint is then there twice, since wandb cannot take back; in `metrics.jsonl` it is not.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from psearch.tracking.jsonl import JsonLines

log = logging.getLogger(__name__)


class Wandb:
    """A tracker that mirrors every row to wandb.

    study: wandb's group. mode: "offline", "online" or "disabled". fallback: whether a run that cannot go
    online goes offline, with a warning, or fails. finish_timeout: seconds to wait for uploads at the end
    (what is left stays on disk). Raises ValueError for an unknown mode, or if online fails and `fallback` is
    off.
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
        init_timeout: float = 60,
        finish_timeout: float = 300,
        system_metrics: bool = True,
    ) -> None:
        if mode not in ("offline", "online", "disabled"):
            raise ValueError(f"logger.mode={mode}: choose offline, online or disabled")
        self._lines = JsonLines(directory=directory)
        directory = Path(directory).resolve()
        self._own_environment = _keep_inside(directory)
        settings = {
            "console": "off",  # a progress bar would become thousands of lines
            "capture_loggers": {"psearch": "INFO"},
            "quiet": True,
            "init_timeout": init_timeout,
            "finish_timeout": finish_timeout,
            "x_transaction_log_flush_interval": 1.0,  # by default a killed job loses 15 s, or all
            "x_disable_stats": not system_metrics,
        }
        self._run = _start(
            mode,
            fallback,
            settings,
            id=_stable_id(directory / "wandb_id"),
            resume="allow",
            dir=directory,
            project=project,
            entity=entity,
            group=study,
            name=name,
            tags=[tag[:64] for tag in tags],
            job_type=job_type,
            config=dict(config),
            allow_val_change=True,
        )
        self._run.define_metric("train/*", step_metric="step")
        self._run.define_metric("val/*", step_metric="epoch")

    @property
    def rows(self) -> int:
        return self._lines.rows

    def log(self, values: Mapping[str, float], **axes: float) -> None:
        self._lines.log(values, **axes)
        self._run.log({**values, **axes})  # without step=: a resumed run would drop rows

    def summary(self, values: Mapping[str, float]) -> None:
        self._lines.summary(values)
        self._run.summary.update(dict(values))

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        self._lines.table(name, columns, rows)
        import wandb

        data = [list(row) for row in rows]
        self._mirror(name, wandb.Table(columns=list(columns), data=data, allow_mixed_types=True))

    def image(self, name: str, path: Path) -> None:
        self._lines.image(name, path)
        import wandb

        self._mirror(name, wandb.Image(str(path)))

    def rewind(self, rows: int) -> None:
        self._lines.rewind(rows)

    def __enter__(self) -> Wandb:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.__exit__(kind, error, trace)
        if error is not None and not isinstance(error, Exception):
            self._run.mark_preempting()
        self._tell_where()
        try:
            self._run.finish(exit_code=0 if error is None else getattr(error, "exit_code", 1))
        finally:
            for variable in self._own_environment:
                os.environ.pop(variable, None)

    def _tell_where(self) -> None:
        if self._run.offline:
            log.info("`wandb sync %s` would upload this run", Path(self._run.dir).parent)
        elif not self._run.disabled:
            log.info("this run on wandb: %s", self._run.url)

    def _mirror(self, name: str, media: object) -> None:
        try:
            self._run.log({name: media})
        except Exception as error:  # wandb talks to its server here; a mirror must not stop the work
            log.warning("wandb did not take %s (%s); it is in metrics.jsonl", name, error)


def _start(mode: str, fallback: bool, settings: Mapping[str, Any], **run: Any) -> Any:
    import wandb

    def start(mode: Any) -> Any:
        return wandb.init(mode=mode, reinit="finish_previous", settings=wandb.Settings(**settings), **run)

    if mode != "online":
        return start(mode)
    try:
        if not wandb.login(prompt=False, verify=False):
            raise wandb.errors.UsageError("no key: set WANDB_API_KEY or run `wandb login`")
        return start(mode)
    except (wandb.errors.CommError, wandb.errors.AuthenticationError, wandb.errors.UsageError) as error:
        if not fallback:
            raise ValueError(f"wandb cannot go online ({error}); or choose logger.mode=offline") from error
        log.warning("wandb cannot go online (%s): logging offline, `wandb sync` uploads it later", error)
        wandb.teardown()  # else the same run id is refused in this process
        return start("offline")


def _stable_id(path: Path) -> str:
    """The run's id for all its attempts, made at the first."""
    if not path.exists():
        temporary = path.with_name(path.name + ".tmp")
        temporary.write_text(secrets.token_hex(4))
        os.replace(temporary, path)
    return path.read_text().strip()


def _keep_inside(directory: Path) -> list[str]:
    """Keep what wandb stages in the run's directory, unless the user said where; answers the variables set.

    Also silences wandb's error reports: an offline run touches no network.
    """
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    if "WANDB_DATA_DIR" in os.environ:
        return []
    os.environ["WANDB_DATA_DIR"] = str(directory / ".wandb-data")
    return ["WANDB_DATA_DIR"]
