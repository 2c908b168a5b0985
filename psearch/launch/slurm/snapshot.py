"""The code as it is now, kept for jobs that start later: editing the checkout cannot change them."""

from __future__ import annotations

import filecmp
import hashlib
import json
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from psearch.build import Trust, find_module
from psearch.files import new_folder, replace_json, replace_text
from psearch.runs.provenance import SNAPSHOT, code

CHECKOUT = Path(__file__).resolve().parents[3]
PARTS = ("psearch", "conf", "hydra_plugins")
"""What a run is made of, new files that git does not know yet included."""

INSTALLED = [Path(sysconfig.get_path(kind)) for kind in ("stdlib", "platstdlib", "purelib", "platlib")]
"""Where code lies that jobs find without a copy."""


def freeze(home: Path, checkout: Path = CHECKOUT, packages: Sequence[Path] = ()) -> Path:
    """A copy of the code in `home/<address>`, the address being a hash of it: one copy per state of the code.

    packages: folders and files of further code, each put beside psearch under its own name.
    Beside it lie `code.json` (commit, whether the tree differed from it) and `code.patch` (how). A copy is
    there as a whole or not at all.
    """
    files = dict(_files([*(checkout / part for part in PARTS), *packages]))
    target = home / _address(checkout, files)
    if target.exists():
        _check_copy(target, files)
        return target
    try:
        with new_folder(target) as copy:
            for file, source in files.items():
                (copy / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, copy / file)
            replace_json(copy / SNAPSHOT, code(checkout / "psearch"))
            replace_text(copy / "code.patch", _patch(checkout))
    except OSError:
        if not target.exists():  # else another submission was faster with the same code
            raise
    return target


def _check_copy(copy: Path, files: Mapping[Path, Path]) -> None:
    """A copy that lies there already may have come with the study: ValueError if it is not what it is named
    after. What Python compiled in it is removed, as nobody can tell from what."""
    for folder in list(copy.rglob("__pycache__")):
        shutil.rmtree(folder, ignore_errors=True)
    there = {path.relative_to(copy) for path in copy.rglob("*") if path.is_symlink() or not path.is_dir()}
    changed = there ^ {*files, Path(SNAPSHOT), Path("code.patch")}
    changed |= {f for f in files if f in there and not filecmp.cmp(copy / f, files[f], shallow=False)}
    if changed:
        raise ValueError(f"{copy} is no copy of the code ({min(changed)} differs): remove that folder")


def own_packages(trust: Trust) -> list[Path]:
    """Where the code lies that a command line trusts, as folders of packages and files of modules. What is
    installed in the environment that jobs share, and psearch, is left out."""
    names = {name.split(".")[0] for name in (*trust.modules, *trust.targets)}
    found = []
    for name in sorted(names - {"psearch", "hydra_plugins", "torch"}):
        spec = find_module(name)
        places = [*(spec.submodule_search_locations or ()), spec.origin] if spec else []
        place = next((Path(p) for p in places if p and Path(p).exists()), None)
        if place is not None and not any(place.is_relative_to(home) for home in INSTALLED):
            found.append(place)
    return found


def _files(parts: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    """Where a file goes, and where it is."""
    for part in parts:
        for path in [part] if part.is_file() else sorted(part.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(part.parent), path


def _address(checkout: Path, files: Mapping[Path, Path]) -> str:
    digest = hashlib.sha256(json.dumps(code(checkout / "psearch")).encode())
    for file, source in files.items():
        content = hashlib.sha256(source.read_bytes()).hexdigest()
        digest.update(f"{file}\0{content}\n".encode())
    return digest.hexdigest()[:12]


def _patch(checkout: Path) -> str:
    """How the code differs from its commit, new files included; empty where git does not know it."""
    with tempfile.TemporaryDirectory() as folder:
        index = {**os.environ, "GIT_INDEX_FILE": str(Path(folder, "index"))}
        commands = (["read-tree", "HEAD"], ["add", "--intent-to-add", *PARTS], ["diff", "--binary", "HEAD"])
        output = b""
        for command in commands:
            done = subprocess.run(["git", *command], cwd=checkout, env=index, capture_output=True)
            if done.returncode:
                return ""
            output = done.stdout
        return output.decode(errors="replace")
