"""The rooms keep their walls: what each part of psearch may import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "psearch"
FLOORS = {
    **dict.fromkeys(("data", "models", "losses", "distill", "evaluation", "tracking", "report"), 0),
    "runs": 1,
    "engine": 2,
    "tasks": 3,
    "config": 3,
    "studies": 4,
    "launch": 5,
    "cli": 6,
}
"""Room -> floor of the house."""

BESIDE = {"report": ("evaluation",)}
"""Neighbours on the same floor that a room may read."""


def imports(source: str, module: str) -> Iterator[str]:
    """Every module that a source file imports, anywhere in it, by its full name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            assert node.module is not None
            yield from (
                [f"psearch.{a.name}" for a in node.names] if node.module == "psearch" else [node.module]
            )
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")[: -node.level]
            yield ".".join([*base, node.module] if node.module else base)


def found_in(path: Path) -> set[str]:
    return set(imports(path.read_text(), ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)))


def test_the_reader_of_imports_sees_all_ways_to_import() -> None:
    source = "import a.b\nfrom psearch import types\nif a:\n    from ..models import oim\n    from . import x"
    found = list(imports(source, "psearch.data.scenes"))
    assert found == ["a.b", "psearch.types", "psearch.models", "psearch.data"]


def modules() -> dict[str, Path]:
    """Dotted name -> file of everything in psearch."""
    paths = {path: path.relative_to(PACKAGE.parent).with_suffix("") for path in PACKAGE.rglob("*.py")}
    return {".".join(name.parts).removesuffix(".__init__"): path for path, name in paths.items()}


def place(module: str) -> str:
    """The room a module is in; the vocabulary lies in none."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (PACKAGE / parts[1]).is_dir() else "vocabulary"


@pytest.mark.parametrize("room", FLOORS)
def test_arrows_point_down(room: str) -> None:
    """A room imports itself, the vocabulary, and what stands on a lower floor."""
    below = {"vocabulary", room, *BESIDE.get(room, ())}
    below |= {other for other, floor in FLOORS.items() if floor < FLOORS[room]}
    paths = [path for module, path in modules().items() if place(module) == room]
    assert paths
    for path in paths:
        ours = {module for module in found_in(path) if module.split(".")[0] == "psearch"}
        assert not [module for module in ours if place(module) not in below], path


def test_there_are_no_circles() -> None:
    known = modules()
    arrows = {
        name: {m for m in _with_members(path) if m in known and m != name} for name, path in known.items()
    }
    TopologicalSorter(arrows).prepare()  # CycleError names the circle


def _with_members(path: Path) -> set[str]:
    """What a file imports, and what it imports from there: `from a import b` may mean the module a.b."""
    members = {
        f"{node.module}.{alias.name}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    return found_in(path) | members


def test_hydra_ends_in_config() -> None:
    """Only the rooms that start things see Hydra; `psearch/build.py` calls the targets of plain nodes."""
    outside = {path for name, path in modules().items() if place(name) not in ("config", "cli", "launch")}
    for path in outside - {PACKAGE / "build.py"}:
        assert not {module.split(".")[0] for module in found_in(path)} & {"hydra", "omegaconf"}, path


def test_a_student_does_not_know_that_a_teacher_exists() -> None:
    for path in (PACKAGE / "models").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            words = " ".join(str(getattr(node, kind, "")) for kind in ("id", "attr", "arg", "name")).lower()
            assert "teacher" not in words and "distill" not in words, path


def test_a_command_is_short() -> None:
    sources = [path.read_text() for path in (PACKAGE / "cli").glob("*.py")]
    assert len(sources) >= 9
    assert not [source for source in sources if len(source.splitlines()) > 70]
