"""A frozen network as a teacher: of torchreid, of timm, and one's own as docs/distillation.md has it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from psearch.models.osnet import OSNet
from psearch.runs import checkpoint
from psearch.studies.compare import compare_studies
from psearch.studies.train import run
from tests.models.test_osnet import filled
from tests.study import TINY, composed

ROOT = Path(__file__).parents[2]
TORCHREID = ("teacher=torchreid", "teacher.torchreid.checkpoint=osnet.pt", "teacher.torchreid.crop=[64,32]")
TERMS = "distill=[identities,embeddings,relations,prototypes]"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place with a file of the zoo, and a student that learnt from it."""
    place = tmp_path_factory.mktemp("frozen")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        state = filled(OSNet("osnet_x0_25")).state_dict()
        classifier = {"classifier.weight": torch.zeros(3, 512), "classifier.bias": torch.zeros(3)}
        torch.save({"state_dict": {f"module.{k}": v for k, v in (state | classifier).items()}}, "osnet.pt")
        threads = torch.get_num_threads()
        run(*composed(*TORCHREID, TERMS, "study=small", "student.network.embedding=64", "directory=taught"))
        torch.set_num_threads(threads)
    return place


@pytest.fixture
def inside(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(home)
    return home


def teacher_of(directory: str) -> tuple[dict[str, Any], Path]:
    known = json.loads(Path("outputs", directory, "results.json").read_text())["teachers"][0]
    return known, Path("outputs", known["directory"].removeprefix("outputs/"))


def test_every_term_that_reads_embeddings_reads_it(inside: Path) -> None:
    rows = [json.loads(line) for line in Path("outputs/taught/metrics.jsonl").read_text().splitlines()]
    logged = {key for row in rows for key in row}
    assert {f"train/distill/{term}" for term in ("embeddings", "relations", "prototypes")} <= logged


def test_the_table_is_the_teachers_centred_and_projected(inside: Path) -> None:
    known, place = teacher_of("taught")
    assert known["name"] == "torchreid" and place.name.startswith("torchreid-")
    network = checkpoint.load(place / "last.pt")["network"]
    assert network["mean"].any() and network["directions"].shape == (512, 64)
    [people] = place.glob("people-*.npz")
    import numpy as np

    with np.load(people) as kept:
        embeddings, ids = torch.from_numpy(kept["embeddings"]), torch.from_numpy(kept["ids"])
    table = torch.stack(
        [normalize(embeddings[ids == i].mean(dim=0), dim=0) for i in range(int(ids.max()) + 1)]
    )
    student = checkpoint.load("outputs/taught/last.pt")
    torch.testing.assert_close(student["criterion"]["memory.table"], table)
    assert not any("directions" in key for key in student["network"])


def test_it_is_measured_like_any_teacher(inside: Path) -> None:
    threads = torch.get_num_threads()
    run(*composed(*TORCHREID, "distill=identities", "study=rows", "student.network.embedding=64"))
    compare_studies([Path("outputs/rows")], device="cpu")
    torch.set_num_threads(threads)
    roles = {
        json.loads(path.read_text())["role"]: json.loads(path.read_text())["variant"]
        for path in Path("outputs/rows").glob("*/results.json")
    }
    assert set(roles) == {"student", "teacher", "two_step"}
    assert roles["two_step"]["teacher"] == "torchreid"


def test_what_its_file_holds_decides_and_not_where_it_lies(inside: Path) -> None:
    def hashes(file: str) -> str:
        from psearch.identity import config_hash

        config, _ = composed(
            "teacher=torchreid", f"teacher.torchreid.checkpoint={file}", "distill=identities"
        )
        return config_hash(config.plain)

    Path("copy.pt").write_bytes(Path("osnet.pt").read_bytes())
    same = hashes("osnet.pt")
    assert hashes("copy.pt") == same
    torch.save(OSNet("osnet_x0_25").state_dict(), "copy.pt")
    assert hashes("copy.pt") != same


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ["teacher.torchreid.model=osnet_x0_5"],
            r"osnet.pt does not fit 565 tensors .*of another shape \(conv1",
        ),
        (["teacher.torchreid.model=osnet_x9"], "model=osnet_x9: choose osnet_x0_25"),
        (["teacher.torchreid.dimensions=600"], "dimensions=600: the network has embeddings of 512"),
        (["teacher.torchreid.dimensions=32"], "the student's embedding has 64 numbers, the teacher's 32"),
        (["distill=cwd"], "torchreid gives only embeddings"),
    ],
)
def test_a_mistake_is_found_before_anything_is_written(
    overrides: list[str], words: str, inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = "student.network.embedding=64"
    config, variant = composed(*TORCHREID, TERMS, "study=bad", size, "directory=bad", *overrides)
    before = set(Path("outputs/teachers").iterdir())
    with pytest.raises(ValueError, match=words):
        run(config, variant)
    assert set(Path("outputs/teachers").iterdir()) == before and not Path("outputs/bad").exists()


def test_a_file_that_is_not_there_is_named(inside: Path) -> None:
    with pytest.raises(ValueError, match=r"teacher.torchreid.checkpoint=gone.pt: there is no such file"):
        composed("teacher=torchreid", "teacher.torchreid.checkpoint=gone.pt", "distill=identities")
    with pytest.raises(ValueError, match=r"add teacher.torchreid.checkpoint=... to the command"):
        composed("teacher=torchreid", "distill=identities")


def test_timm_teaches_feature_maps_and_embeddings(inside: Path) -> None:
    pytest.importorskip("timm")
    threads = torch.get_num_threads()
    taught = ("teacher=timm", "teacher.timm.name=resnet18", "teacher.timm.weights=none")
    terms = ("teacher.timm.taps={c4:8}", "distill=[features,cwd,relations]")
    run(*composed(*taught, *terms, "directory=timm"))
    torch.set_num_threads(threads)
    known, _ = teacher_of("timm")
    assert known["name"] == "timm"


def test_ones_own_network_teaches_as_the_documentation_says(tmp_path: Path) -> None:
    """The example of docs/distillation.md, run as it stands there."""
    text = (ROOT / "docs" / "distillation.md").read_text()
    example = text[text.index("## A network of your own") :]
    [code], [node] = (re.findall(rf"```{kind}\n(.*?)```", example, re.S) for kind in ("python", "yaml"))
    [command] = re.findall(r"^    psearch (train .*)$", example, re.M)
    for name, content in (("mypackage/tracker.py", code), ("mine/teacher/mine.yaml", node)):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(content)
    tracker: dict[str, Any] = {"__name__": "tracker"}
    exec(compile(code, "docs/distillation.md", "exec"), tracker)
    torch.save(tracker["Tracker"](size=24).state_dict(), tmp_path / "FILE")
    words = [sys.executable, "-m", "psearch", *command.split(), *TINY, "student.network.embedding=16"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*words, "directory=mine"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "16 of 24 dimensions keep" in done.stdout + done.stderr
    assert json.loads((tmp_path / "outputs/mine/results.json").read_text())["teachers"][0]["name"] == "mine"
