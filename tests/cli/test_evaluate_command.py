"""`psearch.evaluate`: a checkpoint and its saved detections measure alike; a mistake is one line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import initialize_config_dir

from psearch.cli import evaluate as entry
from psearch.cli import train
from psearch.config.compose import resolved
from psearch.config.overrides import check
from psearch.config.program import CONF, start
from psearch.runs.config import EvaluateConfig
from psearch.studies.evaluate import evaluate
from psearch.studies.measurement import EvaluationSetup
from psearch.studies.train import run
from tests.data.published_layouts import nasty_prw, small_coco
from tests.study import TINY, composed

DATA = [override for override in TINY if override.startswith("data.")]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Home of a student, also one told to believe in every box, so that there is something to find."""
    home, threads = tmp_path_factory.mktemp("evaluate"), torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        run(*composed("study=one", "directory=one", "evaluation.galleries=[5,7]"))
        state = torch.load("outputs/one/last.pt", weights_only=True)
        state["network"]["regions.box_logits.bias"] += torch.tensor([-9.0, 9.0])
        torch.save(state, "outputs/one/sure.pt")
    torch.set_num_threads(threads)
    yield home


@pytest.fixture
def inside(study: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(study)
    return study


def config(*overrides: str) -> EvaluateConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return EvaluateConfig.parse(resolved(check("evaluate", ["device=cpu", *overrides])[0]))


def results(directory: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(directory, "results.json").read_text())
    return found


def test_a_checkpoint_is_measured_on_its_own_data_as_in_training(inside: Path) -> None:
    evaluate(config("checkpoint=outputs/one/last.pt", "output=same", "evaluation.galleries=[5,7]"))
    once, again = results("outputs/one"), results("same")
    for part in ("protocol", "metrics", "per_query", "searches", "intervals", "variant"):
        assert again[part] == once[part] | ({"data": "synthetic"} if part == "variant" else {})
    assert set(again["searches"]) == {"5", "7", "legacy"}
    assert [again["searches"][name]["gallery_size"] for name in ("5", "7")] == [5, 7]


def test_scenes_are_looked_at_once(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    measured = EvaluationSetup.network
    monkeypatch.setattr(
        EvaluationSetup, "network", lambda self, net: (passes.append(net), measured(self, net))[1]
    )
    evaluate(config("checkpoint=outputs/one/last.pt", "output=once"))
    assert len(passes) == 1


def test_other_data_under_the_same_arguments_is_another_evaluation(inside: Path) -> None:
    own = small_coco(inside / "own")
    where = [f"data.root={own}", "data.sides=[64,128]", "data.cache=null"]
    words = ("checkpoint=outputs/one/last.pt", "data=coco", *where)
    evaluate(config(*words))
    evaluate(config(*words))
    assert len(list(Path("outputs/evaluate").iterdir())) == 1
    text = (own / "test.json").read_text()
    (own / "test.json").write_text(text.replace("[80, 10, 24, 60]", "[82, 10, 24, 60]"))
    assert (own / "test.json").read_text() != text
    evaluate(config(*words))
    assert len(list(Path("outputs/evaluate").iterdir())) == 2


def test_saved_detections_measure_like_the_network_that_made_them(inside: Path) -> None:
    more = ("protocol=legacy", "evaluation=cbgm", "evaluation.galleries=[6]")
    evaluate(config("checkpoint=outputs/one/sure.pt", "output=sure", "save_detections=true", *more))
    data = ["data=synthetic", *DATA]
    evaluate(config("detections=sure/detections.npz", "output=file", *data, *more))
    network, file = results("sure"), results("file")
    bound = {key: value for key, value in network["metrics"].items() if key.startswith("gt_")}
    assert file["metrics"] | bound == network["metrics"] and file["metrics"]["mAP"] > 0
    assert file["searches"] == network["searches"] and set(file["searches"]) == {"6", "strict"}
    assert file["protocol"]["mode"] == "legacy" and "ContextMatching" in file["protocol"]["rerank"]
    assert file["protocol"] == network["protocol"] | {"nms": None, "limit": None}


def test_the_program_prints_numbers_with_their_protocol_and_where_they_are(inside: Path) -> None:
    command = [sys.executable, "-m", "psearch.evaluate", "checkpoint=outputs/one/sure.pt", "device=cpu"]
    done = subprocess.run(
        command, capture_output=True, text=True, env={"PYTHONPATH": str(CONF.parent), "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    first, second, third, last = done.stdout.splitlines()
    assert first.startswith("mAP ") and " to " in first and "gt_mAP" in first
    assert second.startswith("measured on synthetic (") and "strict, whole gallery, 4 queries" in second
    assert third.startswith("legacy: mAP")
    place = last.removeprefix("results: ")
    assert place.startswith("outputs/evaluate/one-sure-") and Path(place).exists()


def spoilt(**arrays: np.ndarray) -> Callable[[], list[str]]:
    def write() -> list[str]:
        if not Path("sure/detections.npz").exists():  # this test may run without its neighbours
            evaluate(config("checkpoint=outputs/one/sure.pt", "output=sure", "save_detections=true"))
        with np.load("sure/detections.npz") as file:
            np.savez("spoilt.npz", **{**file, **{k: v(file[k]) for k, v in arrays.items()}})  # type: ignore
        return ["detections=spoilt.npz", "data=synthetic", *DATA]

    return write


def diverged() -> list[str]:
    state = torch.load("outputs/one/last.pt", weights_only=True)
    for value in state["network"].values():
        value.fill_(torch.nan) if value.is_floating_point() else None
    torch.save(state, "nan.pt")
    return ["checkpoint=nan.pt"]


def foreign() -> list[str]:
    torch.save({"weights": torch.zeros(2)}, "foreign.pt")
    return ["checkpoint=foreign.pt"]


MISTAKES: list[tuple[Callable[[], list[str]], str]] = [
    (lambda: [], "either checkpoint=FILE.pt or detections=FILE.npz"),
    (lambda: ["checkpoint=nowhere.pt"], "there is no checkpoint nowhere.pt"),
    (foreign, "foreign.pt: no network that psearch knows"),
    (diverged, "scene test_0000.*: the network's output holds NaN"),
    (lambda: ["detections=nowhere.npz", "data=synthetic"], "there are no detections nowhere.npz"),
    (lambda: ["detections=outputs/one/results.json"], "add data="),
    (lambda: ["checkpoint=outputs/one/last.pt", "protocol=lenient"], "no protocol 'lenient'"),
    (lambda: ["checkpoint=outputs/one/last.pt", "evaluation.galleries=50"], "write a list"),
    (
        lambda: ["checkpoint=outputs/one/last.pt", "evaluation.galleries=[99]"],
        "gallery_size=99 cannot be had",
    ),
    (lambda: ["checkpoint=outputs/one/last.pt", "evaluation.galleries=[dark]"], "no galleries 'dark' here"),
    (spoilt(query_embeddings=lambda v: v[1:]), "query_embeddings has shape"),  # type: ignore
    (spoilt(embeddings=lambda v: v * np.nan), "embeddings are NaN or infinite, first in scene"),  # type: ignore
]


@pytest.mark.parametrize(("arguments", "words"), MISTAKES, ids=[words[:30] for _, words in MISTAKES])
def test_mistakes_are_one_line_that_says_what_is_wrong(
    inside: Path, monkeypatch: pytest.MonkeyPatch, arguments: Callable[[], list[str]], words: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate", "device=cpu", *arguments()])
    with pytest.raises(SystemExit, match=f"^error: .*{words}") as told:
        start(entry.main, "evaluate")
    assert "\n" not in str(told.value)


def unreadable(root: Path) -> None:
    (root / "frame_test.mat").write_bytes(b"MATLAB 5.0 MAT-file, cut off")


def undecodable(root: Path) -> None:
    file = root / "frames" / "c2s1_000176.jpg"
    file.write_bytes(file.read_bytes()[:700])


def emptied(root: Path, **gallery: list[int]) -> None:
    (root / "queries.json").write_text(json.dumps({"queries": [{"id": 8, "annotation_id": 4, **gallery}]}))


def forgotten(root: Path) -> None:
    (root / "query_info.txt").unlink()


DAMAGES: list[tuple[str, Callable[[Path], None], str]] = [
    ("prw", forgotten, "no file .*query_info.txt: set data.root"),
    ("prw", unreadable, "frame_test.mat cannot be read"),
    ("prw", undecodable, "The picture .*c2s1_000176.jpg cannot be decoded"),
    ("coco", lambda root: emptied(root, gallery=[]), "query 8 asks for person 4, who is in no picture"),
    ("coco", lambda root: emptied(root, gallery=[4]), "protocol's cameras"),
]


@pytest.mark.parametrize(("data", "damage", "words"), DAMAGES, ids=[words[:25] for *_, words in DAMAGES])
def test_damaged_data_is_named_before_or_while_it_is_trained_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    data: str,
    damage: Callable[[Path], None],
    words: str,
) -> None:
    root = {"prw": nasty_prw, "coco": small_coco}[data](tmp_path / "data")
    damage(root)
    monkeypatch.chdir(tmp_path)
    command = f"train data={data} data.root={root} data.sides=[64,112]"
    short = "trainer.epochs=1 trainer.workers=1 logger=jsonl device=cpu"
    monkeypatch.setattr(sys, "argv", [*command.split(), *short.split()])
    with pytest.raises(SystemExit, match=f"^error: .*{words}") as told:
        start(train.main, "train")
    assert "\n" not in str(told.value) and "Traceback" not in str(told.value)


def test_a_key_of_a_data_set_needs_the_data_set() -> None:
    with pytest.raises(ValueError, match=r"no data is chosen; add data=\.\.\. \(coco, cuhk_sysu"):
        config("data.root=somewhere")
