"""Where outputs lie, and which folder the name or the path of a study or a run means, for every command.

    <outputs>/<study>/<run>      a study is a folder directly in outputs, a run a folder in it
    <outputs>/teachers/<run>     teachers, shared by all studies
    <outputs>/evaluate/<name>    evaluations apart from any training
    <outputs>/data/<name>        rendered scenes, parsed annotations, crops

The command line (`outputs=FOLDER`) comes before the environment (PSEARCH_OUTPUTS), that before `outputs`
below the working directory. Records name what lies there as `outputs/…`, so that no record names a machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from psearch.records import OUTPUTS

VARIABLE = "PSEARCH_OUTPUTS"


def outputs(given: Path | str | None = None) -> Path:
    """The folder of all outputs. given: by the command line or a config; None asks the environment.

    Raises ValueError for one that is empty or begins with `~`, which no shell has replaced.
    """
    folder = str(os.environ.get(VARIABLE, OUTPUTS) if given is None else given)
    if not folder.strip() or folder.startswith("~"):
        raise ValueError(f"outputs={folder}: name a folder, or leave outputs= and {VARIABLE} away")
    return Path(folder)


def teachers_directory(home: Path) -> Path:
    """Where trained teachers lie. home: the folder of all outputs, here and below."""
    return home / "teachers"


def evaluations_directory(home: Path) -> Path:
    """Where `psearch evaluate` writes."""
    return home / "evaluate"


def study_directory(study: Path | str, home: Path | None = None) -> Path:
    """The folder of a study, which need not be there. study: its path, or its name: below `home` (by default
    `outputs()`), or else in the working directory."""
    path = Path(study)
    if path.name in ("", ".."):
        path = path.resolve()
    below = (outputs() if home is None else home) / path
    here = len(path.parts) > 1 or (path.is_dir() and not below.is_dir())
    return path if here else below


def studies(words: Iterable[str]) -> list[Path]:
    """The folders of the studies that a command line names; `outputs=FOLDER` among its words says where."""
    words = list(words)
    given = [word.partition("=")[2] for word in words if word.startswith("outputs=")]
    home = outputs(given[-1] if given else None)
    return [study_directory(word, home) for word in words if not word.startswith("outputs=")]


def command_word(study: Path) -> str:
    """What to call a study on a command line typed here: by its name where that is enough."""
    return study.name if _same(study, study_directory(study.name)) else str(study)


def outputs_of(study: Path) -> Path:
    """The folder of all outputs that a study lies in."""
    return study.parent if study.name not in ("", "..") else study.resolve().parent


def run_directory(home: Path, study: str, name: str, given: Path | str | None = None) -> Path:
    """The directory of a run: `name` in its study, or the `given` one: a path, or one below outputs.

    Raises ValueError for one that is not in outputs.
    """
    if given is None:
        return home / study / name
    for path in (Path(given), home / given):
        if _inside(path, home):
            return path
    raise ValueError(f"directory={given} is not in outputs={home}: choose a folder in there, or set outputs=")


def recorded(path: Path, home: Path) -> str:
    """A path as records name it: `outputs/…` for what lies there, else relative to the working directory
    where that is possible."""
    for folder, name in ((home, OUTPUTS), (Path(), "")):
        if path.resolve().is_relative_to(folder.resolve()):
            return str(Path(name, path.resolve().relative_to(folder.resolve())))
    return str(path)


def moved(config: Mapping[str, Any], home: Path) -> dict[str, Any]:
    """A run's resolved config as it would be with its outputs in `home`: where its data lie, for instance."""
    before = f"{config.get('outputs') or OUTPUTS}{os.sep}"

    def walk(node: Any) -> Any:
        if isinstance(node, Mapping):
            return {key: walk(value) for key, value in node.items()}
        if isinstance(node, list | tuple):
            return [walk(part) for part in node]
        if isinstance(node, str) and node.startswith(before):
            return str(home / node.removeprefix(before))
        return node

    plain: dict[str, Any] = walk(config)
    return plain | ({"outputs": str(home)} if "outputs" in config else {})


def _inside(path: Path, folder: Path) -> bool:
    """Whether a path lies below a folder, as it is written or where its links lead."""
    written = Path(os.path.abspath(path)), Path(os.path.abspath(folder))
    real = path.resolve(), folder.resolve()
    return any(inner != outer and inner.is_relative_to(outer) for inner, outer in (written, real))


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()
