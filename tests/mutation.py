"""How much the tests notice: one small mistake at a time is put into a copy of the code, and a test must
fail.

    python -m tests.mutation [name ...]    all of the mutants in tests/mutants.py, or those with these names

The checkout is never touched. Ends with 1 if the tests notice less than 95 % of the mistakes.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.mutants import MUTANTS, Mutant

ROOT = Path(__file__).parents[1]
COPIED = ("psearch", "hydra_plugins", "tests", "conf", "pyproject.toml")
IMPORTED_ONCE = ("torchvision", "einops", "omegaconf", "hydra", "hypothesis")
ENOUGH = 0.95
PASSED, FAILED = int(pytest.ExitCode.OK), int(pytest.ExitCode.TESTS_FAILED)


def copy_to(folder: Path) -> None:
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)


def stale(mutants: Sequence[Mutant]) -> list[str]:
    """What is wrong with mutants that do not go with the code any more, as it was changed."""
    problems = []
    for mutant in mutants:
        path = ROOT / mutant.file
        found = path.read_text().count(mutant.old) if path.exists() else 0
        if found != 1 or mutant.old == mutant.new:
            problems.append(f"{mutant.name}: {found} times in {mutant.file}, not once: {mutant.old!r}")
    return problems


def run_tests(folder: Path, tests: Sequence[str]) -> tuple[int, str]:
    """pytest's exit code and output, in a process that has imported nothing of the copy before."""
    output = folder / "output.txt"
    process = os.fork()
    if process == 0:
        code = 70
        try:
            os.chdir(folder)
            with output.open("w") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            sys.path[0] = str(folder)
            for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
                del sys.modules[name]
            assert Path(str(importlib.import_module("psearch").__file__)).is_relative_to(folder)
            options = ["-x", "-q", "--no-cov", "-p", "no:cacheprovider", "--timeout=60"]
            code = int(pytest.main([*options, f"--basetemp={folder / 'tmp'}", *tests]))
        finally:
            sys.stdout.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), output.read_text()


def killer(folder: Path, mutant: Mutant) -> str | None:
    """The test that notices the mutant, or None. Raises RuntimeError if the tests did not run."""
    path = folder / mutant.file
    source = path.read_text()
    path.write_text(source.replace(mutant.old, mutant.new))
    try:
        code, output = run_tests(folder, mutant.tests)
    finally:
        path.write_text(source)
    if code not in (PASSED, FAILED):
        raise RuntimeError(f"{mutant.name}: pytest ended with {code}, so it says nothing:\n{output}")
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", output, re.M)
    return None if code == PASSED else failed[1] if failed else "?"


def main(names: Sequence[str]) -> int:
    unknown = set(names) - {mutant.name for mutant in MUTANTS}
    if unknown:
        raise SystemExit(f"no such mutant: {', '.join(sorted(unknown))}")
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    problems = stale(chosen)
    if problems:
        raise SystemExit("\n".join(["the code was changed: change tests/mutants.py, too", *problems]))
    began = time.monotonic()
    sys.dont_write_bytecode = True  # bytecode of a mutant could be taken for that of the next one
    os.environ |= {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    for module in IMPORTED_ONCE:
        importlib.import_module(module)
    survived = 0
    with tempfile.TemporaryDirectory(prefix="psearch-mutants-") as name:
        folder = Path(name).resolve()
        copy_to(folder)
        code, output = run_tests(folder, sorted({test for mutant in chosen for test in mutant.tests}))
        if code != PASSED:
            raise SystemExit(f"the tests fail without any mutant:\n{output}")
        for mutant in chosen:
            found = killer(folder, mutant)
            survived += found is None
            print(f"{mutant.name}: {f'killed by {found}' if found else 'SURVIVED'}", flush=True)
    score = 1 - survived / len(chosen)
    seconds = time.monotonic() - began
    print(f"killed {len(chosen) - survived} of {len(chosen)}: {score:.1%} in {seconds:.0f} s")
    return int(score < ENOUGH)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
