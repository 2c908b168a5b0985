"""Upload a study's wandb runs that were made offline: `python -m psearch.sync STUDY [STUDY …]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from psearch.config.errors import MISTAKES, message
from psearch.records import RunRecord, locate
from psearch.runs.places import studies


def program() -> None:
    """Uploads the runs of the study, its comparison, and the teachers it used; not what is uploaded already,
    nor what still runs. Exit status 1 if something could not be uploaded: sync again, it goes on there."""
    parser = argparse.ArgumentParser(prog="psearch sync", description=program.__doc__)
    parser.add_argument("studies", nargs="+", metavar="STUDY", help="name or path; also outputs=FOLDER")
    chosen = parser.parse_args()
    try:
        sync(studies(chosen.studies))
    except MISTAKES as error:
        sys.exit(f"error: {message(error)}")


def sync(studies: Sequence[Path]) -> None:
    """Upload and say what became of it. ValueError if a study does not exist, wandb has no key, its server
    does not answer, or something could not be uploaded."""
    from psearch.tracking.upload import check_server, running, upload, waiting

    runs = list(dict.fromkeys(run for study in studies for run in run_directories(study)))
    left = [run for run in runs if waiting(run)]
    busy = [run for run in left if running(run)]
    ready = [run for run in left if run not in busy]
    for run in busy:
        print(f"{run} is still running: sync again when it is done")
    if not ready:
        print("nothing to upload" if runs else "no run of these studies used wandb (logger=wandb)")
        return
    print(f"uploading {len(ready)} of {len(runs)} runs to {check_server()}", flush=True)
    failed = []
    for run, trouble in tqdm(upload(ready), total=len(ready), unit="run", disable=None):
        if trouble:
            failed.append(run)
            tqdm.write(f"{run}: {trouble}")
    if failed:
        raise ValueError(f"{len(failed)} of {len(ready)} runs were not uploaded, see above: sync again")
    print(f"{len(ready)} runs uploaded")


def run_directories(study: Path) -> Iterator[Path]:
    """Directories with wandb folders: the study's own, and those of the teachers its runs learned from."""
    if not study.is_dir():
        raise ValueError(f"there is no study {study.name} in {study.parent}")
    for run in sorted(study.iterdir()):
        if (run / "wandb").is_dir():
            yield run
        record = RunRecord.read(run)
        places = (locate(run, teacher.directory) for teacher in (record.teachers if record else ()))
        yield from (place for place in places if place is not None and (place / "wandb").is_dir())


if __name__ == "__main__":
    program()
