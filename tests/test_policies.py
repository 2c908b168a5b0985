"""House rules that a reader of a diff forgets: devices, sizes, names, and nothing of one machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*ROOT.glob("psearch/**/*.py"), *ROOT.glob("hydra_plugins/**/*.py")])
CONFIGS = sorted(ROOT.glob("conf/**/*.yaml"))
TEXTS = [
    *SOURCES,
    *CONFIGS,
    *sorted(ROOT.glob("tests/**/*.py")),
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("experiments/**/*.md")),
    *(ROOT / name for name in ("README.md", "Makefile", "pyproject.toml", "constraints.txt", ".ci/run")),
]
DUMPING_GROUNDS = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "misc",
    "manager",
    "managers",
    "base",
    "core",
}
# Put together here, so that this file does not name what it forbids.
REGISTRIES = ["pypi" + ".org", "python" + "hosted.org", "npm" + "js.org", "index" + "-url", "find" + "-links"]
MACHINES = ["/" + "work/", "/" + "root/", "/" + "home/", "/opt/" + "pypi"]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_the_device_is_chosen_once(path: Path) -> None:
    assert not re.search(r"\.cuda\(|[\"']cuda:", path.read_text()), (
        "use tensor.to(device), device from the config"
    )


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 250


@pytest.mark.parametrize("path", CONFIGS, ids=name)
def test_a_config_file_fits_on_a_screen(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) <= 35


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_file_is_named_for_what_is_in_it(path: Path) -> None:
    parts = set(path.relative_to(ROOT).with_suffix("").parts)
    assert not {word for part in parts for word in part.split("_")} & DUMPING_GROUNDS


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_file_says_what_it_is_for(path: Path) -> None:
    assert path.read_text().startswith('"""')


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_nothing_is_unpickled_from_a_checkpoint(path: Path) -> None:
    for call in re.findall(r"torch\.load\([^\n]*", path.read_text()):
        assert "weights_only=True" in call


@pytest.mark.parametrize("path", [path for path in TEXTS if path.exists()], ids=name)
def test_no_registry_and_no_machine_is_named(path: Path) -> None:
    text = path.read_text()
    assert not [word for word in [*REGISTRIES, *MACHINES] if word in text]


def test_constraints_are_exact_pins_of_registry_packages() -> None:
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert re.fullmatch(r"[\w.-]+==[\w.!+-]+", line), line
