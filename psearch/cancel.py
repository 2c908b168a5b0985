"""Cancel what waits or runs of a study: `python -m psearch.cancel STUDY`."""

from __future__ import annotations

import argparse
import sys

from psearch.errors import MISTAKES, message


def main() -> None:
    """Cancel all jobs of a study that wait or run; `psearch.resubmit` goes on from their checkpoints."""
    parser = argparse.ArgumentParser(prog="python -m psearch.cancel", description=main.__doc__)
    parser.add_argument("study", metavar="STUDY", help="a folder below outputs/")
    chosen = parser.parse_args()
    from psearch.cluster import queue
    from psearch.cluster.ledger import OUTPUTS, Ledger

    try:
        active = queue.active()
        jobs = [entry.job for entry in Ledger(OUTPUTS / chosen.study).entries() if entry.job in active]
        queue.cancel(jobs)
    except MISTAKES as error:
        sys.exit(f"error: {message(error)}")
    print(f"{len(jobs)} jobs cancelled")


if __name__ == "__main__":
    main()
