"""How a study is doing: `python -m psearch.status STUDY`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from psearch.config.errors import MISTAKES, message


def program() -> None:
    """State, progress, time left and last metric of every run; of what failed the error's last lines."""
    parser = argparse.ArgumentParser(prog="psearch status", description=program.__doc__)
    parser.add_argument("studies", nargs="+", metavar="STUDY", help="name or path; also outputs=FOLDER")
    chosen = parser.parse_args()
    from psearch.launch.slurm.states import State, states
    from psearch.runs.places import studies

    def lines(state: State, width: int) -> list[str]:
        row = f"{state.name:{width}}  {state.state:12}  {state.progress:22}  {state.metric}".rstrip()
        where = [f"    log: {state.log}"] if state.error or state.state == "running" else []
        return [row, *(f"    {line}" for line in state.error), *where]

    try:
        found = [state for study in studies(chosen.studies) for state in states(study)]
    except MISTAKES as error:
        sys.exit(f"error: {message(error)}")
    width = max((len(state.name) for state in found), default=0)
    for state in found:
        print("\n".join(lines(state, width)))
    counts = Counter(state.state.partition(" ")[0] for state in found)
    print(", ".join(f"{number} {word}" for word, number in counts.items()) or "nothing was started")


if __name__ == "__main__":
    program()
