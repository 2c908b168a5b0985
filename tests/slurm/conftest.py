"""A real SLURM, of one node or of two, with two pretended GPUs each, and places to work in."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.slurm.workplace import ROOT, Workplace

SCRIPT = Path(__file__).with_name("slurm-cluster")
NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "slurmdbd", "mariadbd")


@contextmanager
def running(nodes: int) -> Iterator[dict[str, str]]:
    """The environment of a client; skips where SLURM is not installed."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [name for name in NEEDED if shutil.which(name, path=path) is None]
    if missing:
        pytest.skip(f"no SLURM here ({', '.join(missing)} missing; Debian's packages: see docs/slurm.md)")
    with tempfile.TemporaryDirectory(prefix="slurm-") as home:
        os.chmod(home, 0o755)  # munge wants a path to its socket that everybody may walk
        sized = {**os.environ, "SLURM_CLUSTER_NODES": str(nodes)}
        subprocess.run([SCRIPT, "start", home, "2"], env=sized, check=True)
        try:
            yield {**os.environ, "SLURM_CONF": f"{home}/slurm.conf", "OMP_NUM_THREADS": "1"}
        finally:
            subprocess.run([SCRIPT, "stop", home], check=True)


@pytest.fixture(scope="session")
def cluster() -> Iterator[dict[str, str]]:
    with running(1) as environment:
        yield environment


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[dict[str, str]]:
    with running(2) as environment:
        yield environment


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def workplace(cluster: dict[str, str], pictures: Path, tmp_path: Path) -> Iterator[Workplace]:
    place = make_workplace(tmp_path, cluster, pictures)
    yield place
    place.clear()


@pytest.fixture
def wide(two_nodes: dict[str, str], pictures: Path, tmp_path: Path) -> Iterator[Workplace]:
    """A place on the cluster of two nodes."""
    place = make_workplace(tmp_path, two_nodes, pictures)
    yield place
    place.clear()


@pytest.fixture(scope="session")
def undisturbed(
    cluster: dict[str, str], pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> Workplace:
    """A sweep that nothing happened to, but that its code was broken once it was submitted."""
    place = make_workplace(tmp_path_factory.mktemp("undisturbed"), cluster, pictures)
    place.submit()
    (place.folder / "psearch/studies/train.py").write_text("raise SystemError('edited after submission')\n")
    place.wait()
    return place


def make_workplace(folder: Path, environment: dict[str, str], pictures: Path) -> Workplace:
    for part in ("psearch", "conf", "hydra_plugins"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(folder)]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "as submitted"]):
        subprocess.run([*git, *command], check=True)
    (folder / ".git/info/exclude").write_text("outputs\n__pycache__\n")
    return Workplace(folder, environment, pictures)
