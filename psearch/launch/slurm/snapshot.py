"""The code as it is now, kept for jobs that start later: editing the checkout cannot change them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from psearch.files import new_folder, replace_json, replace_text
from psearch.runs.provenance import SNAPSHOT, code

CHECKOUT = Path(__file__).resolve().parents[3]
PARTS = ("psearch", "conf", "hydra_plugins")
"""What a run is made of, new files that git does not know yet included."""


def freeze(home: Path, checkout: Path = CHECKOUT) -> Path:
    """A copy of the code in `home/<address>`, the address being a hash of it: one copy per state of the code.

    Beside it lie `code.json` (commit, whether the tree differed from it) and `code.patch` (how). A copy is
    there as a whole or not at all.
    """
    target = home / _address(checkout)
    if target.exists():
        return target
    try:
        with new_folder(target) as copy:
            for file in _files(checkout):
                (copy / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(checkout / file, copy / file)
            replace_json(copy / SNAPSHOT, code(checkout / "psearch"))
            replace_text(copy / "code.patch", _patch(checkout))
    except OSError:
        if not target.exists():  # else another submission was faster with the same code
            raise
    return target


def _files(checkout: Path) -> Iterator[Path]:
    for part in PARTS:
        for path in sorted((checkout / part).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(checkout)


def _address(checkout: Path) -> str:
    digest = hashlib.sha256(json.dumps(code(checkout / "psearch")).encode())
    for file in _files(checkout):
        content = hashlib.sha256((checkout / file).read_bytes()).hexdigest()
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
