"""The rooms keep their walls: what each part of psearch may import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "psearch"
ROOMS = ("data", "models", "losses", "distill", "evaluation", "tracking", "report")
VOCABULARY = {"psearch.types", "psearch.boxes", "psearch.ranks"}


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


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_the_vocabulary_and_itself(room: str) -> None:
    paths = sorted((PACKAGE / room).rglob("*.py"))
    assert paths
    for path in paths:
        ours = {module for module in found_in(path) if module.split(".")[0] == "psearch"} - VOCABULARY
        assert not [module for module in ours if module.split(".")[1:2] != [room]], path


def test_configs_end_at_the_entry_points() -> None:
    """Below psearch/ a config is a plain dict, and one file of training/ calls its targets."""
    below = {path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE}
    for path in below - {PACKAGE / "training" / "build.py"}:
        assert not {module.split(".")[0] for module in found_in(path)} & {"hydra", "omegaconf"}, path


def test_a_student_does_not_know_that_a_teacher_exists() -> None:
    for path in (PACKAGE / "models").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            words = " ".join(str(getattr(node, kind, "")) for kind in ("id", "attr", "arg", "name")).lower()
            assert "teacher" not in words and "distill" not in words, path


def test_an_entry_point_is_short() -> None:
    sources = {path: path.read_text() for path in PACKAGE.glob("*.py")}
    entries = {path: source for path, source in sources.items() if "\n@hydra.main" in source}
    assert PACKAGE / "train.py" in entries
    assert not [path for path, source in entries.items() if len(source.splitlines()) >= 80]
