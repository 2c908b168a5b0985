"""What is frozen at submission is what would run now, and stays."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from psearch.build import Trust
from psearch.launch.slurm.snapshot import freeze, own_packages
from psearch.runs.provenance import code


def git(checkout: Path, *arguments: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    command = ["git", "-C", str(checkout), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    place = tmp_path / "checkout"
    for file in ("psearch/__init__.py", "psearch/a.py", "conf/train.yaml", "hydra_plugins/x.py", "big/data"):
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        (place / file).write_text("one\n")
    (place / "psearch/__pycache__").mkdir()
    (place / "psearch/__pycache__/a.pyc").write_bytes(b"\0")
    (place / ".gitignore").write_text("__pycache__\n")
    git(place, "init")
    git(place, "add", ".")
    git(place, "commit", "-m", "one")
    return place


def test_a_copy_holds_what_a_run_is_made_of_and_knows_its_commit(checkout: Path, tmp_path: Path) -> None:
    frozen = freeze(tmp_path / "code", checkout)
    files = {str(path.relative_to(frozen)) for path in frozen.rglob("*") if path.is_file()}
    assert files == {"psearch/__init__.py", "psearch/a.py", "conf/train.yaml", "hydra_plugins/x.py",
                     "code.json", "code.patch"}  # fmt: skip
    assert code(frozen / "psearch") == code(checkout / "psearch")
    assert (frozen / "code.patch").read_text() == ""


def test_the_same_code_is_copied_once_and_other_code_beside_it(checkout: Path, tmp_path: Path) -> None:
    first = freeze(tmp_path / "code", checkout)
    assert freeze(tmp_path / "code", checkout) == first
    (checkout / "psearch/a.py").write_text("two\n")
    second = freeze(tmp_path / "code", checkout)
    assert second != first and (first / "psearch/a.py").read_text() == "one\n"


@pytest.mark.parametrize("file", ["psearch/a.py", "wandb.py", "psearch/torch.so"])
def test_a_copy_that_came_with_the_study_is_not_run(checkout: Path, tmp_path: Path, file: str) -> None:
    first = freeze(tmp_path / "code", checkout)
    (first / "psearch/__pycache__").mkdir()
    (first / "psearch/__pycache__/a.pyc").write_bytes(b"compiled from anything")
    assert freeze(tmp_path / "code", checkout) == first and not list(first.rglob("*.pyc"))
    (first / file).write_text("import os")
    with pytest.raises(ValueError, match=f"is no copy of the code .{file} differs.: remove that folder"):
        freeze(tmp_path / "code", checkout)


def test_trusted_modules_are_frozen_beside_psearch(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is installed is not, and a module that is only edited later is the one that was submitted."""
    for file in ("mypackage/term.py", "mypackage/table.csv", "mymodule.py"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("one\n")
    monkeypatch.syspath_prepend(tmp_path)
    modules, targets = {"mypackage", "yaml", "json", "nowhere"}, {"mymodule.Data", "psearch.x.Y"}
    packages = own_packages(Trust(frozenset(modules), frozenset(targets)))
    assert [place.name for place in packages] == ["mymodule.py", "mypackage"]
    first = freeze(tmp_path / "code", checkout, packages)
    (tmp_path / "mypackage/term.py").write_text("two\n")
    assert freeze(tmp_path / "code", checkout, packages) != first
    assert {file: (first / file).read_text() for file in ("mypackage/term.py", "mymodule.py")} == {
        "mypackage/term.py": "one\n",
        "mymodule.py": "one\n",
    }
    assert (first / "mypackage/table.csv").exists()


def test_a_dirty_tree_is_on_record_as_a_patch_that_applies(checkout: Path, tmp_path: Path) -> None:
    (checkout / "psearch/a.py").write_text("two\n")
    (checkout / "conf/new.yaml").write_text("new: 1\n")
    frozen = freeze(tmp_path / "code", checkout)
    assert json.loads((frozen / "code.json").read_text())["dirty"] is True
    assert (frozen / "conf/new.yaml").exists()
    assert git(checkout, "status", "--porcelain") == " M psearch/a.py\n?? conf/new.yaml\n"
    git(checkout, "clean", "-fd")
    git(checkout, "checkout", ".")
    git(checkout, "apply", str(frozen / "code.patch"))
    assert (checkout / "psearch/a.py").read_text() == "two\n"
    assert (checkout / "conf/new.yaml").read_text() == "new: 1\n"


def test_a_copy_cut_short_is_none(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space")

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", fail)
        with pytest.raises(OSError, match="no space"):
            freeze(tmp_path / "code", checkout)
    assert not list((tmp_path / "code").iterdir())
    assert freeze(tmp_path / "code", checkout).exists()


def test_without_git_the_code_is_copied_all_the_same(tmp_path: Path) -> None:
    for part in ("psearch", "conf", "hydra_plugins"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "x.py").write_text("one\n")
    frozen = freeze(tmp_path / "code", tmp_path)
    assert (frozen / "psearch/x.py").exists() and code(frozen / "psearch")["commit"] == "unknown"
