"""Submit again what failed or is missing of a study: `python -m psearch.resubmit STUDY`."""

from __future__ import annotations

import argparse
import sys

from psearch.config.errors import MISTAKES, message
from psearch.config.overrides import own_folders
from psearch.config.trust import add_options, options_trust


def program() -> None:
    """Submit the runs of a study again that are neither done nor waiting nor running, with the code as it is
    now; each goes on from its last checkpoint."""
    parser = argparse.ArgumentParser(prog="psearch resubmit", description=program.__doc__)
    parser.add_argument("study", metavar="STUDY", help="its name, or the path of its folder")
    parser.add_argument(
        "settings",
        nargs="*",
        metavar="KEY=VALUE",
        help="hydra.launcher.KEY=VALUE for these jobs, e.g. timeout_min; outputs=FOLDER: where the study is",
    )
    add_options(parser)
    chosen = parser.parse_args()
    from psearch.launch.slurm.submission import resubmit
    from psearch.runs.places import studies

    try:
        where = [text for text in chosen.settings if text.startswith("outputs=")]
        [study] = studies([chosen.study, *where])
        settings = [text for text in chosen.settings if text not in where]
        trust, folders = options_trust(chosen), own_folders(chosen.config_dir)
        print(resubmit(study, settings, trust=trust, folders=folders))
    except MISTAKES as error:
        sys.exit(f"error: {message(error)}")


if __name__ == "__main__":
    program()
