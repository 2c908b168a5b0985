"""Which files a run is made by: those that are imported from what it builds, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from psearch.sources import code_closure, code_digest, signature_defaults

FIRST = '''"""Doc."""
import json
from pack.second import f

def g():
    """Doc."""
    from . import lazy
'''
CLASSES = """
from pack.second import f as again

class Base:
    def __init__(self, a=1):
        pass

class Heir(Base):
    pass
"""
SECOND = """
def f(x, *, size=3, name='a', sides=(1, 2), limit=None, flag=True, share=1 / 4, other=len):
    return x
"""
FILES = {
    "__init__": "from pack import first",
    "first": FIRST,
    "second": SECOND,
    "lazy": "from .second import f as renamed\nrenamed\n",
    "unused": "x = 1",
    "classes": CLASSES,
}


@pytest.fixture
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> tuple[str, Path]:
    """A package outside of psearch, under a name of its own for each test."""
    name = f"pack_{abs(hash(request.node.name))}"
    folder = tmp_path / name
    folder.mkdir()
    for module, text in FILES.items():
        (folder / f"{module}.py").write_text(text.replace("pack", name))
    monkeypatch.syspath_prepend(tmp_path)
    return name, folder


def test_the_closure_is_what_is_imported_from_the_roots_on(pack: tuple[str, Path]) -> None:
    """Also inside functions, relatively, and the packages around a module; not from other packages."""
    name, folder = pack
    found = code_closure([f"{name}.first.g"], (name,))
    assert found == {name: folder / "__init__.py"} | {
        f"{name}.{module}": folder / f"{module}.py" for module in ("first", "second", "lazy")
    }
    assert code_closure([f"{name}.first.g"], ("psearch",)) == {}
    assert code_closure([f"{name}.missing", "no_such_package", "..", "a/../b.c"], (name, "a/", "")) == found


def test_comments_docstrings_and_unused_files_are_no_other_code(pack: tuple[str, Path]) -> None:
    name, folder = pack
    before = code_digest([f"{name}.first"], (name,))
    (folder / "unused.py").write_text("x = 2")
    (folder / "new.py").write_text("x = 3")
    text = (folder / "first.py").read_text()
    (folder / "first.py").write_text(
        "# why\n" + text.replace("Doc.", "Said otherwise.").replace("g():", "g( ):")
    )
    assert code_digest([f"{name}.first"], (name,)) == before
    (folder / "lazy.py").write_text("renamed = 2")
    assert code_digest([f"{name}.first"], (name,)) != before


def test_a_closure_of_ours_holds_what_computes_and_stops_at_what_carries() -> None:
    found = code_closure(["psearch.tasks.search.SearchTask", "psearch.studies.fit"])
    assert {"psearch.engine.loop", "psearch.losses.identity", "psearch.boxes", "psearch.types"} <= set(found)
    assert not {"psearch.tasks.qeeps", "psearch.distill.cwd", "psearch.data.doctor"} & set(found)
    rooms = {module.split(".")[1] for module in found}
    assert not rooms & {"report", "tracking", "runs", "cli", "launch", "config", "files", "identity"}


def test_defaults_are_read_through_names_and_bases(pack: tuple[str, Path]) -> None:
    name, _ = pack
    known = {"size": 3, "name": "a", "sides": (1, 2), "limit": None, "flag": True, "share": 0.25}
    assert signature_defaults(f"{name}.second.f") == signature_defaults(f"{name}.classes.again") == known
    assert signature_defaults(f"{name}.classes.Heir") == {"a": 1}
    assert signature_defaults(f"{name}.nothing") == signature_defaults("") == signature_defaults("os") == {}


def test_nothing_that_is_asked_about_is_imported(pack: tuple[str, Path]) -> None:
    name, folder = pack
    (folder / "__init__.py").write_text("raise SystemExit('ran')")
    ask = f"code_digest(['{name}.first'], ('{name}',)); signature_defaults('{name}.second.f')"
    program = (
        f"import sys; sys.path.insert(0, {str(folder.parent)!r}); from psearch.sources import *; {ask}; "
    )
    program += "code_digest(['psearch.studies.fit']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
