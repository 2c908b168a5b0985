"""How a wandb run is started and ended so that it never hangs, loses nothing and can be uploaded later."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from psearch.files import replace_text

log = logging.getLogger(__name__)

UNSENT = "not-uploaded"
"""A file in an online run's folder from its start until all of it has reached the server."""

_gave_up: list[str] = []
"""Why this process logs offline from now on: a hundred runs do not wait for the same server in turn."""


def start(mode: str, *, fallback: bool, settings: Mapping[str, Any], **run: Any) -> Any:
    """`wandb.init`; online without key or network it goes offline with one warning, or ValueError."""
    import wandb

    def init(mode: Any) -> Any:
        return wandb.init(mode=mode, reinit="finish_previous", settings=wandb.Settings(**settings), **run)

    if mode == "online" and fallback and _gave_up:
        mode = "offline"
    if mode != "online":
        return init(mode)
    try:
        if not wandb.login(prompt=False, verify=False):
            raise wandb.errors.UsageError("no key: set WANDB_API_KEY or run `wandb login`")
        started = init(mode)
    except (wandb.errors.CommError, wandb.errors.AuthenticationError, wandb.errors.UsageError) as error:
        if not fallback:
            raise ValueError(f"wandb cannot go online ({error}); or choose logger.mode=offline") from error
        _gave_up.append(str(error))
        log.warning("wandb cannot go online (%s): logging offline, psearch.sync uploads it later", error)
        wandb.teardown()  # else the same run id is refused in this process
        return init("offline")
    unsent(started).touch()
    return started


def unsent(run: Any) -> Path:
    """The mark of an online run that is not all uploaded."""
    return Path(run.dir).parent / UNSENT


def finish(run: Any, exit_code: int) -> None:
    """End a run and say where it is; what cannot be uploaded in time stays on disk."""
    try:
        run.finish(exit_code=exit_code)
    except TimeoutError:
        log.warning("wandb's server did not take all of %s in time; psearch.sync uploads the rest", run.name)
        return
    if run.offline:
        log.info("kept for wandb in %s; psearch.sync uploads it", os.path.relpath(Path(run.dir).parent))
    elif not run.disabled:
        unsent(run).unlink(missing_ok=True)
        log.info("this run on wandb: %s", run.url)


def stable_id(path: Path) -> str:
    """The run's id for all its attempts, made at the first."""
    if not path.exists():
        replace_text(path, secrets.token_hex(4))
    return path.read_text().strip()


def keep_inside(directory: Path) -> list[str]:
    """Keep what wandb stages in the run's directory, unless the user said where; answers the variables set.

    Also silences wandb's error reports: an offline run touches no network.
    """
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    if "WANDB_DATA_DIR" in os.environ:
        return []
    os.environ["WANDB_DATA_DIR"] = str(directory / ".wandb-data")
    return ["WANDB_DATA_DIR"]
