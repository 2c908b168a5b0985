"""Submit again what failed or is missing of a study: `python -m psearch.resubmit STUDY`."""

from __future__ import annotations

import argparse
import sys

from psearch.config.errors import MISTAKES, message


def program() -> None:
    """Submit the runs of a study again that are neither done nor waiting nor running, with the code as it is
    now; each goes on from its last checkpoint."""
    parser = argparse.ArgumentParser(prog="psearch resubmit", description=program.__doc__)
    parser.add_argument("study", metavar="STUDY", help="a folder below outputs/")
    parser.add_argument(
        "settings", nargs="*", metavar="hydra.launcher.KEY=VALUE", help="for these jobs, e.g. timeout_min"
    )
    chosen = parser.parse_args()
    from psearch.launch.slurm.submission import resubmit

    try:
        print(resubmit(chosen.study, chosen.settings))
    except MISTAKES as error:
        sys.exit(f"error: {message(error)}")


if __name__ == "__main__":
    program()
