"""What would be handed to sbatch, with a cluster that only writes it down."""

from __future__ import annotations

import os
import pickle
import shlex
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

import psearch.studies.compare
import psearch.studies.train
from psearch.build import Trust, trusted
from psearch.config.program import CONF
from psearch.launch.plan import Plan, make_plan
from psearch.launch.slurm import submission
from psearch.launch.slurm.ledger import Ledger
from psearch.launch.slurm.submission import plain_launcher, submit
from psearch.launch.slurm.work import Comparing, Training

SBATCH = """#!/bin/sh
n=$(ls "$TAKEN" | wc -l)
cp "$1" "$TAKEN/$n"
echo "Submitted batch job $((n + 100))"
"""
SQUEUE = '#!/bin/sh\ncat "$TAKEN/../queue" 2>/dev/null || true\n'
NOTED = '#!/bin/sh\necho "$0" "$@" >> "$TAKEN/../noted"\n'


class Cluster:
    """sbatch scripts it took, and what its squeue says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def scripts(self) -> list[str]:
        return [
            (self.folder / "taken" / str(n)).read_text()
            for n in range(len(list((self.folder / "taken").iterdir())))
        ]

    def runs(self, *jobs: str) -> None:
        (self.folder / "queue").write_text("".join(f"{job}|RUNNING|None\n" for job in jobs))


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    (tmp_path / "bin").mkdir()
    (tmp_path / "taken").mkdir()
    for name, text in {"sbatch": SBATCH, "squeue": SQUEUE, "srun": NOTED, "scancel": NOTED}.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("TAKEN", str(tmp_path / "taken"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(submission, "freeze", lambda home, packages=(): home / "frozen")
    return Cluster(tmp_path)


@pytest.fixture
def plan(cluster: Cluster) -> Callable[..., tuple[Plan, dict[str, Any]]]:
    """A plan and its launcher node, from overrides; no teacher is there."""

    def make(*points: str, launcher: str = "hydra.launcher.partition=gpu") -> tuple[Plan, dict[str, Any]]:
        hydra = ["hydra/launcher=slurm", launcher]
        with initialize_config_dir(str(CONF), version_base="1.3"):
            node = compose("train", hydra, return_hydra_config=True).hydra
            return make_plan("train", hydra, [point.split() for point in points]), plain_launcher(node)

    return make


GRID = [f"teacher=reid distill={d} seed={s}" for d in ("none", "identities") for s in (1, 2)]


def test_teachers_then_pupils_then_the_comparison(cluster: Cluster, plan: Any) -> None:
    entries = submit(*plan(*GRID))
    assert [entry.name.split("-seed")[0] for entry in entries] == [
        entries[0].name, "oim-tiny-none-none", "oim-tiny-none-none",
        "oim-tiny-reid-identities", "oim-tiny-reid-identities", "comparison",
    ]  # fmt: skip
    teacher, free, pupils, comparison = cluster.scripts
    assert "--dependency" not in teacher + free and "--array=0-1%2" in free
    assert "--dependency=afterok:100" in pupils and "--kill-on-invalid-dep=yes" in pupils
    assert "--dependency=afterany:100:101:102" in comparison
    for script in cluster.scripts:
        assert "--partition=gpu" in script and "--requeue" in script and "--signal=USR2@120" in script
        assert f"PYTHONPATH={cluster.folder}/outputs/default/code/frozen" in script


def test_what_is_under_way_is_not_submitted_again(cluster: Cluster, plan: Any) -> None:
    jobs = [entry.job for entry in submit(*plan(*GRID))]
    cluster.runs(*jobs)
    assert submit(*plan(*GRID)) == [] and len(cluster.scripts) == 4
    cluster.runs(*jobs[1:])  # the teacher failed, its pupils wait for it no more
    cluster.runs(*jobs[1:3], jobs[-1])
    again = submit(*plan(*GRID))
    assert [entry.job for entry in again] == ["104", "105_0", "105_1", "106"]
    assert "--dependency=afterany:101:104:105" in cluster.scripts[-1]
    assert f"scancel {jobs[-1]}" in (cluster.folder / "noted").read_text()


def test_a_teacher_that_another_study_trains_is_waited_for(cluster: Cluster, plan: Any) -> None:
    first = submit(*plan(GRID[2]))
    cluster.runs(*(entry.job for entry in first))
    second = submit(*plan(f"{GRID[2]} study=other"))
    assert [entry.name for entry in second][1:] == ["comparison"] and len(second) == 2
    assert f"--dependency=afterok:{first[0].job}" in cluster.scripts[-2]


def test_a_run_with_its_results_is_not_submitted(cluster: Cluster, plan: Any) -> None:
    made, launcher = plan(*GRID[:2])
    place = Path(str(made.jobs[0].directory))
    place.mkdir(parents=True)
    (place / "results.json").write_text('{"status": "ok"}')
    made, launcher = plan(*GRID[:2])
    assert [entry.name for entry in submit(made, launcher)] == [made.jobs[1].name, "comparison"]
    assert "1 runs, 1 done already" in made.preview("")


@pytest.mark.parametrize("evil", ["a;touch pwned", "$(touch pwned)", "`touch pwned`", "../../x y"])
def test_nothing_from_the_command_line_is_run_by_the_script(cluster: Cluster, plan: Any, evil: str) -> None:
    """sbatch reads the file's comments, a shell the rest: neither may find a command in what was given."""
    made, launcher = plan(GRID[0])
    launcher |= {"partition": evil, "additional_parameters": {"comment": evil}}
    submit(made, launcher)
    for script in cluster.scripts:
        lines = [line for line in script.splitlines() if "pwned" in line or "x y" in line]
        assert lines and all(line.startswith("#SBATCH --") for line in lines)
        subprocess.run(["sh", "-c", script.replace("srun", ": srun")], check=True)
    assert not list(cluster.folder.rglob("pwned"))


@pytest.mark.parametrize("where", ["partition", "comment"])
def test_a_line_break_is_refused(cluster: Cluster, plan: Any, where: str) -> None:
    made, launcher = plan(GRID[0])
    with pytest.raises(ValueError, match=rf"hydra.launcher.{where}=.*line break"):
        submit(made, launcher | {where: "gpu\n#SBATCH --uid=0"})
    assert cluster.scripts == []


@pytest.mark.parametrize("study", ["../up", "a/b", "a;b", "$(x)", "a\nb", "-rf", "teachers"])
def test_a_study_stays_in_its_folder(plan: Any, study: str) -> None:
    with pytest.raises(ValueError, match="study="), initialize_config_dir(str(CONF), version_base="1.3"):
        make_plan("train", [], [[f"study='{study}'"]])


def test_at_least_one_requeue(cluster: Cluster, plan: Any) -> None:
    with pytest.raises(ValueError, match="max_num_timeout must be at least 1"):
        submit(*plan(GRID[0], launcher="hydra.launcher.max_num_timeout=0"))


def test_a_task_per_rank_and_one_for_the_comparison(cluster: Cluster, plan: Any) -> None:
    made, launcher = plan(GRID[2])
    submit(made, launcher | {"nodes": 2, "tasks_per_node": 4, "gpus_per_node": 4})
    *trainings, comparison = cluster.scripts
    assert len(trainings) == 2
    for script in trainings:
        assert "--nodes=2" in script and "--ntasks-per-node=4" in script and "--gpus-per-node=4" in script
        assert "--kill-on-bad-exit=1" in script
    assert "--nodes=1" in comparison and "--ntasks-per-node=1" in comparison


def test_a_rank_has_a_gpu_of_its_own(cluster: Cluster, plan: Any) -> None:
    made, launcher = plan(GRID[0])
    with pytest.raises(ValueError, match="2 tasks_per_node want 2 gpus_per_node, not 1"):
        submit(made, launcher | {"tasks_per_node": 2})


def test_pickled_jobs_and_keys_are_nobody_elses(
    cluster: Cluster, plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "secret-0123456789")
    submit(*plan(*GRID))
    folder = cluster.folder / "outputs/default/slurm"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in [path for path in cluster.folder.rglob("*") if path.is_file()]:
        assert b"secret-0123456789" not in path.read_bytes()


def test_submitting_from_within_a_job_hands_on_nothing_of_it(
    cluster: Cluster, plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cluster.folder / "bin/sbatch").write_text(SBATCH + 'env > "$TAKEN/../environment"\n')
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_CONF", "there")
    submit(*plan(GRID[0]))
    lines = (cluster.folder / "environment").read_text().splitlines()
    assert "SLURM_CONF=there" in lines and "SLURM_JOB_ID=7" not in lines
    assert os.environ["SLURM_JOB_ID"] == "7"


def test_a_refusal_is_told(cluster: Cluster, plan: Any) -> None:
    (cluster.folder / "bin/sbatch").write_text("#!/bin/sh\necho 'invalid partition gpu' >&2\nexit 1\n")
    with pytest.raises(ValueError, match="SLURM refused the job: .*invalid partition gpu"):
        submit(*plan(GRID[0]))
    assert Ledger(Path("outputs/default")).entries() == []


def test_outputs_elsewhere_and_a_resubmission_after_they_moved(
    cluster: Cluster, plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies there is named `outputs/…`; from another working directory, jobs go where it is now."""
    scratch, moved = cluster.folder / "scratch", cluster.folder / "it's moved"
    submit(*plan(*(f"{point} outputs={scratch}" for point in GRID)), ["hydra/launcher=slurm"])
    assert not (cluster.folder / "outputs").exists()
    assert f"PYTHONPATH={scratch}/default/code/frozen" in cluster.scripts[0]
    for entry in Ledger(scratch / "default").entries():
        assert {str(text).split("/")[0] for text in (entry.directory, entry.log, entry.code)} <= {
            "outputs",
            "None",
        }
    scratch.rename(moved)
    (cluster.folder / "elsewhere").mkdir()
    monkeypatch.chdir(cluster.folder / "elsewhere")
    told = submission.resubmit(moved / "default")
    assert f"psearch.status {shlex.quote(str(moved / 'default'))}" in told
    again = Ledger(moved / "default").latest()["comparison"]
    assert again.job == "107" and not list(Path().iterdir())
    runs = [e for e in Ledger(moved / "default").entries() if e.directory and int(e.job[:3]) > 103]
    assert runs and all(f"outputs='{moved}'".replace("'s", "\\'s") in entry.overrides for entry in runs)
    assert Ledger(moved / "default").located(runs[0].directory or "").parent == moved / "default"


def test_a_job_trusts_what_its_command_line_did(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing that its config says."""
    seen = []
    monkeypatch.setattr(psearch.studies.train, "run", lambda config, variant: seen.append(trusted()))
    monkeypatch.setattr(psearch.studies.compare, "compare_studies", lambda studies: seen.append(trusted()))
    with initialize_config_dir(str(CONF), version_base="1.3"):
        [job] = make_plan("train", [], [["extensions=[mypackage]", "seed=2"]]).jobs
    assert "extensions" not in job.config and "extensions" not in str(job.variant)
    trust = Trust(frozenset({"mypackage"}))
    assert job.trust == trust
    for work in (Training(job.config, job.variant, job.trust), Comparing(Path("outputs/x"), job.trust)):
        pickle.loads(pickle.dumps(work))()
    assert seen == [trust, trust] and trusted() == Trust()
