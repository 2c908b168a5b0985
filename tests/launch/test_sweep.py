"""A sweep is a study: which jobs are launched, in which batches, and what is left when some fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf, open_dict

import psearch.studies.compare
import psearch.studies.teachers
from psearch.config.program import CONF
from psearch.launch.sweep import StudySweep, sweep

Batches = list[list[str]]


@pytest.fixture(autouse=True)
def hydra_initialised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)  # what the user's outputs/ hold has no say
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Which teachers lie ready; a teacher that a run needs is called by its seed."""
    ready: set[str] = set()
    teachers = psearch.studies.teachers
    monkeypatch.setattr(teachers, "needed", lambda config, data: keys(config) if config.terms else ())
    monkeypatch.setattr(teachers, "ready", lambda key, home: key in ready)
    return ready


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    studies: list[Path] = []
    monkeypatch.setattr(psearch.studies.compare, "compare_studies", studies.extend)
    return studies


def keys(config: dict[str, Any]) -> tuple[str, ...]:
    return tuple(f"{teacher.recipe.seed}" for teacher in config.teachers.values())


class Launcher:
    """Records the batches it is given; `outcome` may raise for a job, or for a whole batch."""

    def __init__(self, outcome: Callable[[str], object] = lambda job: None) -> None:
        self.batches: Batches = []
        self.outcome = outcome

    def __call__(self, jobs: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        self.batches.append([" ".join(job) for job in jobs])
        return [self.one(job) for job in self.batches[-1]]

    def one(self, job: str) -> JobReturn:
        done = JobReturn(status=JobStatus.COMPLETED)
        try:
            done.return_value = self.outcome(job)
        except (ValueError, OSError) as error:
            done.status, done.return_value = JobStatus.FAILED, error
        return done


def points(*seeds: int, distill: str = "none identities") -> list[list[str]]:
    return [["teacher=reid", f"distill={mode}", f"seed={seed}"] for seed in seeds for mode in distill.split()]


def failing(*words: str, error: type[Exception] = ValueError) -> Callable[[str], object]:
    def outcome(job: str) -> None:
        if all(word in job for word in words):
            raise error(f"{' '.join(words)} went wrong")

    return outcome


@pytest.mark.usefixtures("trained")
def test_a_missing_teacher_is_trained_once_and_only_its_pupils_wait(compared: list[Path]) -> None:
    launch = Launcher()
    StudySweep(launch, "train").run(points(1, 2))
    assert launch.batches == [
        [
            "teacher=reid distill=identities seed=1 stage=teacher",
            "teacher=reid distill=none seed=1",
            "teacher=reid distill=none seed=2",
        ],
        ["teacher=reid distill=identities seed=1", "teacher=reid distill=identities seed=2"],
    ]
    assert compared == [Path("outputs/default")]


@pytest.mark.usefixtures("compared")
def test_each_distinct_teacher_is_one_job_and_a_ready_one_none(trained: set[str]) -> None:
    trained.add("5")
    launch = Launcher()
    pupils = [["teacher=reid", "distill=identities", f"teacher.reid.seed={seed}"] for seed in (5, 6, 7)]
    StudySweep(launch, "train").run(pupils)
    assert [job.endswith("stage=teacher") for job in launch.batches[0]] == [True, True, False]
    assert "teacher.reid.seed=5" in launch.batches[0][2]
    assert len(launch.batches[1]) == 2


@pytest.mark.usefixtures("trained", "compared")
def test_one_job_trains_all_missing_teachers_of_a_run() -> None:
    """A teacher that two runs share is trained by the first of them alone."""
    launch = Launcher()
    both = ["teacher=[detector,reid]", "teacher.detector.seed=7", "distill=identities"]
    StudySweep(launch, "train").run([["teacher=reid", "distill=identities"], both])
    assert [job.endswith("stage=teacher") for job in launch.batches[0]] == [True, True]
    assert len(launch.batches[1]) == 2
    launch = Launcher()
    StudySweep(launch, "train").run([both, ["teacher=reid", "distill=identities"]])
    assert len(launch.batches[0]) == 1 and "teacher.detector.seed=7" in launch.batches[0][0]


@pytest.mark.usefixtures("trained", "compared")
def test_points_that_mean_the_same_run_run_once() -> None:
    launch = Launcher()
    StudySweep(launch, "train").run(
        [["teacher=none"], ["teacher=reid"], ["teacher=oim", "seed=1"], ["seed=2"]]
    )
    assert launch.batches == [["teacher=none", "seed=2"]]


@pytest.mark.usefixtures("trained")
def test_a_failed_job_stops_nothing_but_the_exit(
    compared: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    launch = Launcher(failing("distill=none", "seed=1"))
    with pytest.raises(ValueError, match="^1 failed"):
        StudySweep(launch, "train").run(points(1, 2))
    assert len(launch.batches[1]) == 2 and len(compared) == 1
    assert "FAILED distill=none seed=1: distill=none seed=1 went wrong" in caplog.text


@pytest.mark.usefixtures("trained")
def test_pupils_of_a_teacher_that_failed_are_not_started(
    compared: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    launch = Launcher(failing("stage=teacher"))
    with pytest.raises(ValueError, match="^3 failed"):
        StudySweep(launch, "train").run(points(1, 2))
    assert len(launch.batches) == 1 and len(compared) == 1
    assert "FAILED distill=identities seed=2: not started" in caplog.text


@pytest.mark.usefixtures("trained", "compared")
def test_after_a_killed_worker_each_job_gets_a_process_of_its_own() -> None:
    launch = Launcher(failing("seed=2", error=BrokenProcessPool))
    with pytest.raises(ValueError, match="^1 failed"):
        StudySweep(launch, "train").run(points(1, 2, 3, distill="none"))
    assert [len(batch) for batch in launch.batches] == [3, 1, 1, 1]


@pytest.mark.usefixtures("trained")
def test_the_comparison_is_made_whatever_the_launcher_does(compared: list[Path]) -> None:
    launch = Launcher(failing("seed=1", error=RuntimeError))
    with pytest.raises(ValueError, match="the launcher gave up: seed=1 went wrong"):
        StudySweep(launch, "train").run(points(1, distill="none"))
    assert len(compared) == 1


@pytest.mark.usefixtures("trained", "compared")
@pytest.mark.parametrize(
    ("point", "words"),
    [
        (["+trainer.epohcs=1"], "did you mean 'trainer.epochs'"),
        (["distill=identities", "distill.identities.weight=-1"], "distill.identities: weight=-1: it must be"),
    ],
)
def test_a_mistake_in_any_point_is_found_before_the_first_is_launched(point: list[str], words: str) -> None:
    launch = Launcher()
    with pytest.raises(ValueError, match=words):
        StudySweep(launch, "train").run([["seed=1"], point])
    assert launch.batches == []


def test_a_preview_tells_and_launches_nothing(
    capsys: pytest.CaptureFixture[str], trained: set[str], compared: list[Path]
) -> None:
    hydra = compose("train", ["hydra/launcher=slurm"], return_hydra_config=True).hydra
    launcher = Launcher()
    with open_dict(hydra):
        hydra.job.config_name = "train"
    sweep(launcher, hydra, points(1, 2), preview=True)  # type: ignore[arg-type]
    told = capsys.readouterr().out
    assert launcher.batches == [] and compared == []
    assert "each job: 1 GPU, 8 CPUs, 32 GB, 1440 minutes" in told and "at most 16" in told
    assert "outputs/default: 1 teachers to train, 4 runs, 0 done already, 1 comparison" in told
    assert told.count(", after teacher-reid-") == 2 and "outputs/default/report.html" in told


APP = """
    import sys
    from pathlib import Path
    from types import SimpleNamespace
    import hydra
    from psearch.config import program

    HERE = Path(__file__).parent

    @hydra.main(version_base="1.3", config_path="conf", config_name="train")
    def main(cfg):
        import json, os
        told = [os.environ["OMP_WAIT_POLICY"], os.environ["OMP_NUM_THREADS"]]
        (HERE / f"{cfg.seed}.json").write_text(json.dumps(told))
        if cfg.seed == 2:
            raise ValueError("two is wrong")

    if __name__ == "__main__":
        program.CONF = HERE / "conf"
        sys.modules["psearch.studies.teachers"] = SimpleNamespace(needed=lambda config, data: (), ready=None)
        compare_studies = lambda studies: f"table of {studies[0]}"
        sys.modules["psearch.studies.compare"] = SimpleNamespace(compare_studies=compare_studies)
        program.start(main, "train")
"""


def test_hydra_launches_a_study_in_parallel_processes(tmp_path: Path) -> None:
    """The real thing, with a toy task: our sweeper found by Hydra, joblib's workers, a job that fails."""
    (tmp_path / "app.py").write_text(dedent(APP))
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/hydra").symlink_to(CONF / "hydra")
    root = OmegaConf.load(CONF / "train.yaml")
    kept = [entry for entry in root.defaults if str(entry).startswith(("_self_", "{'override"))]
    root.defaults = [*kept, {"override hydra/launcher": "local"}]
    evaluation = {"split": "test", "evaluator": {}}
    parts = ("student", "compression", "data", "trainer", "logger")
    data = {"_target_": "psearch.data.synthetic.benchmark.synthetic", "root": "data"}
    root.update({part: {} for part in parts} | {"evaluation": evaluation, "data": data})
    OmegaConf.save(root, tmp_path / "conf/train.yaml")
    environment = {**os.environ, "PYTHONPATH": str(CONF.parent)}
    environment.pop("OMP_NUM_THREADS", None)
    done = subprocess.run(
        [sys.executable, "app.py", "-m", "seed=1,2,3"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout.strip() == "table of outputs/default"
    assert "FAILED seed=2: two is wrong" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: 1 failed")
    told = [json.loads((tmp_path / f"{seed}.json").read_text()) for seed in (1, 2, 3)]
    threads = str(max(1, (os.cpu_count() or 1) // 2))
    assert told == [["PASSIVE", threads]] * 3
