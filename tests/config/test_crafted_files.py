"""Nothing from a file runs: crafted checkpoints, teachers, studies, results, ledgers and overrides that name
what would leave a mark end the program with one line and leave none."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from psearch.__main__ import main
from psearch.build import CONF, Trust, shipped
from psearch.config.trust import check_kept
from psearch.launch.slurm.ledger import Entry
from psearch.runs import checkpoint
from psearch.studies.train import run
from tests.study import TINY, composed, teachers

MARK = "sprung"
TRAPS: dict[str, dict[str, Any]] = {
    "os.system": {"command": f"touch {MARK}"},
    "posix.mkdir": {"path": MARK},
    "subprocess.run": {"args": ["touch", MARK]},
    "subprocess.Popen": {"args": ["touch", MARK]},
    "builtins.eval": {"source": f"open('{MARK}', 'w')"},
    "psearch.launch.slurm.queue._run": {"command": ["touch", MARK]},
    "psearch.launch.slurm.queue.subprocess.run": {"args": ["touch", MARK]},
    "psearch.files.os.system": {"command": f"touch {MARK}"},
    "psearch.files.replace_text": {"path": MARK, "text": ""},
    "psearch.build.build": {"node": {}},
    "torch.nn.Module.__init__": {"self": None},
    "torch.nn.Module.__init__.__globals__": {},
    "torch.nn.modules.module.Module": {},
    "torch.nn.functional.relu": {"input": 1},
    "torch.nn.init.zeros_": {"tensor": 1},
    "torch.optim.Adam.load_state_dict": {},
    "torch.optim.lr_scheduler.warnings.warn": {"message": MARK},
    "torch.nn.Parameter": {},
    "torch.hub.load": {"repo_or_dir": "."},
    "torch.load": {"f": MARK, "weights_only": False},
    "torchvision.models.resnet18": {},
    "mypackage.trap.Trap": {},
    "psearch.data": {},
    "${oc.env:TARGET}": {"command": f"touch {MARK}"},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Home of a taught student and its teacher, and a module in the working directory that leaves a mark when
    it is only imported."""
    home, threads = tmp_path_factory.mktemp("crafted"), torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        run(*composed("study=real", "distill=embeddings", "trainer.epochs=1", *teachers("reid")))
    torch.set_num_threads(threads)
    (home / "mypackage").mkdir()
    (home / "mypackage/trap.py").write_text(f"open('{MARK}', 'w')\nclass Trap: ...\n")
    yield home


@pytest.fixture
def here(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to spoil."""
    home = shutil.copytree(study, tmp_path / "home")
    monkeypatch.chdir(home)
    monkeypatch.setattr(sys, "path", [str(home), *sys.path])
    monkeypatch.setenv("TARGET", "os.system")
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    return home


@pytest.fixture
def refused(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Run a command that must end with one line of refusal and leave no mark."""

    def command(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["psearch", *words])
        with pytest.raises(SystemExit) as end:
            main()
        assert str(end.value).startswith("error: ") and "\n" not in str(end.value)
        assert not list(here.rglob(MARK))
        return str(end.value)

    yield command
    assert not list(here.rglob(MARK))


@pytest.fixture
def compared(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[], str]:
    """Compare the study; what it says. The records are compared, and what is refused leaves no mark."""

    def command() -> str:
        monkeypatch.setattr(sys, "argv", ["psearch", "compare", "real", "--device", "cpu"])
        main()
        assert not list(here.rglob(MARK))
        return capsys.readouterr().out

    return command


def trap(target: str) -> dict[str, Any]:
    return {"_target_": target, **TRAPS[target]}


def member(here: Path) -> Path:
    return next((here / "outputs/real").glob("oim-*"))


def spoil(file: Path, change: Callable[[dict[str, Any]], None], to: Path | None = None) -> Path:
    """A checkpoint whose config says something else."""
    state = checkpoint.load(file)
    change(state["config"])
    to = to or file.parent
    to.mkdir(exist_ok=True)
    checkpoint.save(to, state)
    return to / file.name


@pytest.mark.parametrize("target", TRAPS)
def test_a_checkpoint(here: Path, refused: Callable[..., str], target: str) -> None:
    """Also one that says of itself what it trusts."""
    said = {"extensions": ["os", "posix", "subprocess", "builtins", "mypackage", "psearch", "torch"]}
    file = spoil(member(here) / "last.pt", lambda config: config.update(said, data=trap(target)))
    assert f"{target} is refused" in refused("evaluate", f"checkpoint={file}", "device=cpu")


@pytest.mark.parametrize("part", ["student", "compression", "evaluation"])
def test_any_part_of_a_checkpoint(here: Path, refused: Callable[..., str], part: str) -> None:
    node = trap("psearch.launch.slurm.queue._run")

    def change(config: dict[str, Any]) -> None:
        if part == "student":
            config["student"]["network"]["extra"] = [{"deep": node}]
        if part == "compression":
            config["compression"]["backbone"] = node
        if part == "evaluation":
            config["evaluation"]["evaluator"] = node  # not read: the command line says how to evaluate
            config["student"] = node

    file = spoil(member(here) / "last.pt", change)
    assert "_run is refused" in refused("evaluate", f"checkpoint={file}", "device=cpu")


def test_a_teachers_checkpoint(here: Path, refused: Callable[..., str]) -> None:
    [teacher] = (here / "outputs/teachers").glob("reid-*/last.pt")
    file = spoil(teacher, lambda config: config.update(student=trap("os.system")), here / "given")
    words = ["teacher=reid", "distill=embeddings", f"teacher.reid.checkpoint={file}", "study=mine", *TINY]
    assert "os.system is refused" in refused("train", *words)


def test_the_config_of_a_study(here: Path, compared: Callable[[], str]) -> None:
    file = member(here) / "config.yaml"
    config = yaml.safe_load(file.read_text())
    said = {"extensions": ["os"], "hydra": {"searchpath": [f"file://{here}/outputs"]}}
    file.write_text(yaml.safe_dump({**config, **said, "data": trap("os.system")}))
    assert "os.system is refused" in compared()


def test_the_results_of_a_study(here: Path, compared: Callable[[], str]) -> None:
    """They say where the teacher lies."""
    [teacher] = (here / "outputs/teachers").glob("reid-*/last.pt")
    spoil(teacher, lambda config: config.update(student=trap("os.system")), here / "given")
    file = member(here) / "results.json"
    results = json.loads(file.read_text())
    results["teachers"][0]["directory"] = "given"
    file.write_text(json.dumps(results))
    assert "os.system is refused" in compared()


LINES = [
    "student.network._target_=os.system",
    "student.network={_target_: os.system}",
    "+distill.x={_target_: os.system, command: touch sprung}",
    "distill.embeddings._target_=mypackage.trap.Trap",
    "extensions=[mypackage]",
    "++extensions=[os]",
    "hydra.searchpath=[file://outputs]",
    "+hydra.callbacks.x={_target_: os.system, command: touch sprung}",
    "hydra={callbacks: {x: {_target_: os.system, command: touch sprung}}}",
    "+hydra.launcher.x={_target_: os.system, command: touch sprung}",
    "hydra.launcher._target_=os.system",
    "hydra.sweeper._target_=os.system",
    "hydra.launcher.setup=[touch sprung]",
    "+hydra.launcher.additional_parameters.prolog=sprung",
    "hydra/launcher=../../outputs/launcher",
    "+hydra.job.env_set.LD_PRELOAD=sprung",
    "data.root=${oc.env:HOME}",
]


@pytest.mark.parametrize("line", LINES)
def test_the_ledger_of_a_study(here: Path, refused: Callable[..., str], line: str) -> None:
    kept = ["distill=embeddings", "teacher=reid", "study=real"]
    for overrides, hydra in (([*kept, line], []), (kept, [line])):
        words = {"overrides": tuple(overrides), "hydra": ("hydra/launcher=slurm", *hydra)}
        entry = Entry("1", "x", None, (), code="", log="", time=0.0, **words)
        (here / "outputs/real/slurm").mkdir(exist_ok=True)
        (here / "outputs/real/slurm/jobs.jsonl").write_text(json.dumps(vars(entry)) + "\n")
        told = refused("resubmit", "real")
        assert "is refused" in told or "a file is not trusted with it" in told


OVERRIDES = [
    "student.network._target_={}",
    "+distill.x={{_target_: {}, command: touch sprung}}",
    "+hydra.callbacks.x={{_target_: {}, command: touch sprung}}",
    "hydra.callbacks='${{oc.create:{{x:{{_target_:{}}}}}}}'",
    "+hydra.callbacks.x='${{oc.create:{{_target_:{}}}}}'",
    "+hydra.launcher.x={{_target_: {}, command: touch sprung}}",
    "+hydra.job_logging.formatters.x.class={}",
    "+hydra.job_logging.handlers.x.class=logging.{}",
    "+hydra.hydra_logging.handlers.x.stream=ext://{}",
]


@pytest.mark.parametrize("override", OVERRIDES)
@pytest.mark.parametrize("target", ["os.system", "mypackage.trap.Trap", "psearch.launch.slurm.queue._run"])
def test_an_override(refused: Callable[..., str], override: str, target: str) -> None:
    for mode in ([], ["-m"], ["-m", "seed=1,2"]):
        told = refused("train", *mode, override.format(target))
        assert "is refused" in told and target in told


def test_an_override_that_becomes_a_node_when_it_is_resolved(refused: Callable[..., str]) -> None:
    """Only the job itself sees it."""
    assert "os.system is refused" in refused(
        "train", "student.network='${oc.create:{_target_:os.system}}'", *TINY
    )


@pytest.mark.parametrize("option", ["--experimental-rerun=x.pickle", "--config-path=outputs"])
def test_an_option_of_hydra(refused: Callable[..., str], option: str) -> None:
    assert "is not taken" in refused("train", option)


def test_what_ships_names_nothing_that_starts_a_program() -> None:
    """The allow-list is what the files of conf/ say; a new line there is looked at here."""
    assert {name.split(".")[1] for name in shipped() if name.startswith("psearch.")} <= {
        "data", "models", "losses", "distill", "evaluation", "tracking", "tasks", "engine",
    }  # fmt: skip
    others = {name for name in shipped() if not name.startswith("psearch.")}
    assert others == {"torch.optim.AdamW", "torch.optim.SGD", "hydra_plugins.psearch_study.StudySweeper"}
    assert CONF.is_dir()


def test_what_the_command_line_says_again_is_taken_from_the_ledger() -> None:
    trust = Trust(frozenset({"mypackage"}))
    kept = ["seed=1", "distill=[a,b]", "hydra/launcher=slurm", "hydra.launcher.partition=gpu"]
    more = ["extensions=[mypackage]", "hydra.launcher.setup=[module load cuda]"]
    check_kept([*kept, *more], more[1:], trust)
    for said, trusted in (((), trust), (more[1:], Trust())):
        with pytest.raises(ValueError, match="a file is not trusted with it: say it on this command line"):
            check_kept([*kept, *more], said, trusted)


def test_what_hydra_itself_wrote_for_a_sweep_may_stand_in_the_ledger() -> None:
    check_kept(["hydra.mode=MULTIRUN", "seed=1"], [], Trust())
    with pytest.raises(ValueError, match="is not trusted with it"):
        check_kept(["hydra.mode=x"], [], Trust())
