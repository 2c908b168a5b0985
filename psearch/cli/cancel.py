"""Cancel what waits or runs of a study: `python -m psearch.cancel STUDY`."""

from __future__ import annotations

import argparse
import sys

from psearch.config.errors import MISTAKES, message


def program() -> None:
    """Cancel all jobs of a study that wait or run; `psearch.resubmit` goes on from their checkpoints."""
    parser = argparse.ArgumentParser(prog="psearch cancel", description=program.__doc__)
    parser.add_argument("studies", nargs="+", metavar="STUDY", help="name or path; also outputs=FOLDER")
    chosen = parser.parse_args()
    from psearch.launch.slurm import queue
    from psearch.launch.slurm.ledger import Ledger
    from psearch.runs.places import studies

    try:
        active = queue.active()
        submitted = [entry for study in studies(chosen.studies) for entry in Ledger(study).entries()]
        jobs = [entry.job for entry in submitted if entry.job in active]
        queue.cancel(jobs)
    except MISTAKES as error:
        sys.exit(f"error: {message(error)}")
    print(f"{len(jobs)} jobs cancelled")


if __name__ == "__main__":
    program()
