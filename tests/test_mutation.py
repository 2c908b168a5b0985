"""The tests notice mistakes (tests/mutation.py), and the mistakes go with the code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.mutants import MUTANTS
from tests.mutation import stale

ROOT = Path(__file__).parents[1]


def mutate(*names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.mutation", *names], cwd=ROOT, capture_output=True, text=True
    )


def test_every_mutant_goes_with_the_code_as_it_is() -> None:
    """If this fails, code was changed that a mutant changes, too: put the same mistake into the new code."""
    assert stale(MUTANTS) == []
    assert [name for name, times in Counter(mutant.name for mutant in MUTANTS).items() if times > 1] == []
    for mutant in MUTANTS:
        assert all((ROOT / test.partition("::")[0]).exists() for test in mutant.tests), mutant.name


def test_a_mutant_whose_text_is_not_there_exactly_once_is_told() -> None:
    first = MUTANTS[0]
    gone, everywhere = first._replace(old="no such text"), first._replace(name="many", old="self")
    told = stale([first, gone, everywhere])
    assert len(told) == 2
    assert told[0].startswith(f"{first.name}: 0 times in {first.file}") and told[1].startswith("many: ")


def test_an_unknown_name_is_refused() -> None:
    done = mutate("no-such-mutant")
    assert done.returncode == 1 and "no such mutant: no-such-mutant" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
@pytest.mark.timeout(1800)
def test_the_tests_notice_nearly_every_mistake() -> None:
    done = mutate()
    assert done.returncode == 0, done.stdout + done.stderr
