"""Compare what a study has so far, or several studies: `python -m psearch.compare STUDY [STUDY …]`."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from psearch.build import trusting
from psearch.config.errors import MISTAKES, message
from psearch.config.trust import add_options, options_trust


def program() -> None:
    """Table, plots, CSV, Markdown, LaTeX and the page report.html; failed and missing runs are listed."""
    parser = argparse.ArgumentParser(prog="psearch compare", description=program.__doc__)
    parser.add_argument("studies", nargs="+", metavar="STUDY", help="name or path; also outputs=FOLDER")
    parser.add_argument(
        "--to", type=Path, help="folder the report is written to (default: the first study's)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda: where teachers are evaluated")
    add_options(parser)
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    from psearch.runs.places import studies
    from psearch.studies.compare import compare_studies  # loads torch, which --help does without

    try:
        with trusting(options_trust(chosen)):
            print(compare_studies(studies(chosen.studies), chosen.to, device=chosen.device))
    except MISTAKES as error:
        sys.exit(f"error: {message(error)}")


if __name__ == "__main__":
    program()
