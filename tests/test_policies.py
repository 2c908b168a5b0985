"""House rules that a reader of a diff forgets: devices, sizes, names, and nothing of one machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

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


def offenders(paths: Iterable[Path], broken: Callable[[str], object]) -> list[str]:
    """The files whose text breaks a rule."""
    return [str(path.relative_to(ROOT)) for path in paths if path.exists() and broken(path.read_text())]


def test_the_device_is_chosen_once() -> None:
    """Tensors go `.to(device)`, a device that the config chose."""
    assert not offenders(SOURCES, re.compile(r"\.cuda\(|[\"']cuda:").search)


def test_a_file_can_be_read_in_one_sitting() -> None:
    assert not offenders(SOURCES, lambda text: len(text.splitlines()) > 380)


def test_a_config_file_fits_on_a_screen() -> None:
    assert not offenders(CONFIGS, lambda text: len(re.findall(r"^[^#\n]", text, re.M)) > 35)


def test_a_file_is_named_for_what_is_in_it() -> None:
    words = {path: set(re.split("[/_.]", str(path.relative_to(ROOT)))) for path in SOURCES}
    assert not [path for path in SOURCES if words[path] & DUMPING_GROUNDS]


def test_a_file_opens_with_what_it_is_for() -> None:
    assert not offenders(SOURCES, lambda text: text and not text.startswith(('"""', 'r"""')))


def test_nothing_is_unpickled_from_a_checkpoint() -> None:
    assert not offenders(SOURCES, re.compile(r"torch\.load\((?![^\n]*weights_only=True)").search)


def test_no_registry_and_no_machine_is_named() -> None:
    assert not offenders(TEXTS, lambda text: [word for word in [*REGISTRIES, *MACHINES] if word in text])


def test_constraints_are_exact_pins() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert lines and not [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.!+-]+", line)]
