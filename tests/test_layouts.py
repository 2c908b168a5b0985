"""The whole default study on a miniature of every data set in the layout its authors give it away in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import initialize_config_dir

from psearch.config.compose import resolved, variant
from psearch.config.overrides import check
from psearch.config.program import CONF
from psearch.runs.config import EvaluateConfig, RunConfig
from psearch.studies.compare import compare_studies
from psearch.studies.evaluate import evaluate
from psearch.studies.train import run
from tests.data.published_layouts import nasty_cuhk_sysu, nasty_prw, small_coco, small_prw_mini

STREET = Path("../shared/data/street_mini")
SHORT = ("trainer.epochs=1", "trainer.batch_size=2", "logger=jsonl", "device=cpu", "study=mini")
TAUGHT = (
    "teacher=reid",
    "distill=identities",
    "teacher.reid.trainer.epochs=1",
    "teacher.reid.trainer.batch_size=2",
)

Layout = tuple[str, Callable[[Path], Path], str, set[str]]
LAYOUTS: list[Layout] = [
    ("cuhk_sysu", nasty_cuhk_sysu, "[50,-1,occlusion,low_resolution]", {"50", "-1", "occlusion"}),
    ("prw", nasty_prw, "[3]", {"3"}),
    ("prw_mini", small_prw_mini, "[20,40]", {"20", "40"}),
    ("coco", small_coco, "[-1]", {"-1"}),
]


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def composed(root: str, *overrides: str) -> tuple[Any, Any]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg, hydra = check(root, list(overrides))
        if root == "train":
            return RunConfig.parse(resolved(cfg)), variant(cfg, hydra)
        return EvaluateConfig.parse(resolved(cfg)), None


def results(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "results.json").read_text())
    return found


@pytest.mark.parametrize(
    ("name", "write", "galleries", "searched"), LAYOUTS, ids=[layout[0] for layout in LAYOUTS]
)
def test_train_teach_evaluate_and_report(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    write: Callable[[Path], Path],
    galleries: str,
    searched: set[str],
) -> None:
    root = write(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    data = [f"data={name}", f"data.root={root}", "data.sides=[64,112]"]
    for taught in ((), TAUGHT):
        run(*composed("train", *data, *SHORT, f"evaluation.galleries={galleries}", *taught))
    table = compare_studies([Path("outputs/mini")], device="cpu")
    for row in ("oim tiny baseline", "oim tiny identities from reid", "teacher reid", "two-step"):
        assert row in table
    assert Path("outputs/mini/report.html").exists()
    students = [path.parent for path in Path("outputs/mini").glob("oim*/results.json")]
    for student in map(results, students):
        assert student["protocol"]["dataset"] == name and student["protocol"]["queries"] > 0
        assert {*searched, "legacy"} <= set(student["searches"])
        assert set(student["intervals"]) == {"mAP", "top1"}
    capsys.readouterr()
    evaluate(composed("evaluate", f"checkpoint={students[0]}/last.pt", "output=again", "device=cpu")[0])
    again, once = results(Path("again")), results(students[0])
    assert again["metrics"] == once["metrics"] and again["variant"] == {**once["variant"], "data": name}
    assert f"measured on {name}" in capsys.readouterr().out


@pytest.mark.skipif(not STREET.exists(), reason=f"the real pictures are not at {STREET}")
def test_real_pictures_go_through_training_as_own_data(tmp_path: Path) -> None:
    config, chosen = composed(
        "train", "data=coco", f"data.root={STREET}", "data.sides=[72,128]", *SHORT[2:], "trainer.epochs=1",
        "trainer.batch_size=16", f"outputs={tmp_path}", "directory=street",
    )  # fmt: skip
    run(config, chosen)
    assert results(tmp_path / "street")["protocol"]["queries"] == 38
