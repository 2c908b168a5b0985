"""The rooms keep their walls: what each part of psearch may import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "psearch"
ROOMS = ("data", "models", "losses", "distill", "evaluation", "tracking", "report")
VOCABULARY = {"psearch.types", "psearch.boxes"}
IN_ROOMS = sorted(path for room in ROOMS for path in (PACKAGE / room).rglob("*.py"))
BELOW = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)


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


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_the_reader_of_imports_sees_all_ways_to_import() -> None:
    source = (
        "import a.b\nfrom psearch import types\ndef f():\n    from ..models import oim\n    from . import x"
    )
    assert list(imports(source, "psearch.data.scenes")) == [
        "a.b",
        "psearch.types",
        "psearch.models",
        "psearch.data",
    ]


@pytest.mark.parametrize("path", IN_ROOMS, ids=name)
def test_a_room_imports_the_vocabulary_and_itself(path: Path) -> None:
    room = f"psearch.{path.relative_to(PACKAGE).parts[0]}"
    ours = {found for found in imports(path.read_text(), module_of(path)) if found.split(".")[0] == "psearch"}
    foreign = {found for found in ours - VOCABULARY if found != room and not found.startswith(f"{room}.")}
    assert not foreign, f"{name(path)} may import {', '.join(sorted(VOCABULARY))} and {room}, not {foreign}"


@pytest.mark.parametrize("path", BELOW, ids=name)
def test_configs_end_at_the_entry_points(path: Path) -> None:
    """Below psearch/ a config is a plain dict, and one file of training/ calls its targets."""
    found = {module.split(".")[0] for module in imports(path.read_text(), module_of(path))}
    allowed = {"hydra"} if path == PACKAGE / "training" / "build.py" else set()
    assert not found & {"hydra", "omegaconf"} - allowed


@pytest.mark.parametrize("path", sorted((PACKAGE / "models").rglob("*.py")), ids=name)
def test_a_student_does_not_know_that_a_teacher_exists(path: Path) -> None:
    names = {
        getattr(node, "id", getattr(node, "attr", getattr(node, "arg", "")))
        for node in ast.walk(ast.parse(path.read_text()))
    }
    assert not [word for word in names if word and ("teacher" in word.lower() or "distill" in word.lower())]


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=name)
def test_an_entry_point_is_short(path: Path) -> None:
    source = path.read_text()
    if "@hydra.main" in source:
        assert len(source.splitlines()) < 80
