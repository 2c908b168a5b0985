"""`python -m psearch.doctor` as a user calls it."""

import subprocess
import sys

import pytest

pytest.importorskip("psearch.config.program", reason="the entry points' shared part is not merged yet")

sys.path.append("tests/data")
from published_layouts import nasty_prw  # noqa: E402


def doctor(*overrides):
    command = [sys.executable, "-m", "psearch.doctor", *overrides]
    return subprocess.run(command, capture_output=True, text=True)


def test_exit_status_output_and_sheet(tmp_path):
    root = nasty_prw(tmp_path / "prw")
    arguments = ["data=prw", f"data.root={root}", f"sheet={tmp_path / 'sheets'}"]
    healthy = doctor(*arguments, "published=false")
    assert healthy.returncode == 0, healthy.stderr
    assert "prw, fingerprint" in healthy.stdout and "3 training scenes" in healthy.stdout
    assert len(list((tmp_path / "sheets").glob("prw-*.png"))) == 1
    short = doctor(*arguments)
    assert short.returncode != 0
    assert "problem: 3 training scenes, but 5704 are published" in short.stdout
    assert "problems in the data set" in short.stderr
    assert "data.root has no value" in doctor("data=prw").stderr
