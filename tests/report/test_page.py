"""The page: honest, self-contained, and safe whatever a config, a file name or an error says."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from psearch.report.comparison import compare
from psearch.report.headline import command, headline
from psearch.report.page import script_json
from tests.report.fake_study import (
    NASTY,
    FakeStudy,
    fake_results,
    fake_study,
    nasty_study,
    write_report,
    write_run,
)

VOID = {"meta", "input", "img", "br", "link"}


class Reader(HTMLParser):
    """Collects tags and text, and sees to it that what is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: Path) -> Reader:
    reader = Reader()
    reader.feed(page.read_text())
    reader.close()
    assert reader.open == []
    return reader


def embedded(page: Path) -> dict:  # type: ignore[type-arg]
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.S)
    assert found
    return dict(json.loads(found[1]))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> FakeStudy:
    return fake_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def page(study: FakeStudy) -> Path:
    street = study.street
    return write_report(study.directory, searches=study.searches, read=street.read, scenes=street.scenes).page


def test_the_page_is_one_file_that_asks_the_network_for_nothing(page: Path) -> None:
    reader = read(page)
    links = [a.get(k) for _, a in reader.tags for k in ("src", "href", "srcset", "action") if a.get(k)]
    assert all(link and link.startswith("#") for link in links)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page.read_text())
    policy = [a["content"] for tag, a in reader.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy and "default-src 'none'" in str(policy[0])
    assert page.stat().st_size < 5_000_000


def test_the_page_shows_table_failures_provenance_and_commands(page: Path, study: FakeStudy) -> None:
    text = read(page).text
    for part in ("oim tiny identities from reid", "two-step oim r18 + reid", "f1e2d3c4b5a6", "8b5e3cb01234"):
        assert part in text
    assert "ValueError: the loss 'features' is not finite at step 40" in text
    assert str(study.directory / "oim-tiny-reid-features-seed0-ffffff" / "log.txt") in text
    assert "python -m psearch.train -m student=oim compression=tiny teacher=reid distill=identities" in text


def test_pictures_of_the_student_alone_and_taught_are_side_by_side(page: Path) -> None:
    data = embedded(page)
    labels = [data["rows"][place]["label"] for place in data["pair"]]
    assert labels == ["oim tiny baseline", "oim tiny identities from reid"]
    assert len(data["examples"]) == 6
    for query in map(str, data["examples"]):
        assert data["pictures"][data["queries"][query]["crop"]].startswith("data:image/jpeg;base64,")
        for place in map(str, data["pair"]):
            strip = data["strips"][place][query]
            assert len(strip["results"]) == 8 and all(number is not None for number, _, _ in strip["results"])
            similarities = [similarity for _, similarity, _ in strip["results"]]
            assert similarities == sorted(similarities, reverse=True)
    assert {found["row"] for found in data["detections"]} == set(data["pair"])


def test_whatever_came_from_outside_is_escaped(tmp_path: Path) -> None:
    page = write_report(nasty_study(tmp_path)).page
    reader = read(page)
    assert [tag for tag, _ in reader.tags].count("img") == 0
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
    assert [tag for tag, _ in reader.tags].count("script") == 2
    assert reader.text.count(NASTY) > 10 and reader.text.count(f"ValueError: {NASTY}") == 2
    data = embedded(page)
    assert NASTY in data["configs"]["shared"].values() and NASTY in data["curves"]


def test_script_json_cannot_end_its_element() -> None:
    text = script_json({"a": "</script><!-- &amp; \u2028"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": "</script><!-- &amp; \u2028"}


def test_writing_twice_gives_the_same_bytes_and_leaves_nothing_else(tmp_path: Path) -> None:
    study = fake_study(tmp_path, seeds=[1])
    before = set(study.directory.iterdir())

    def written() -> dict[str, bytes]:
        paths = write_report(study.directory, searches=study.searches, read=study.street.read)
        files = [paths.page, paths.csv, paths.markdown, paths.latex, *paths.plots]
        assert set(study.directory.iterdir()) == before | set(files)
        return {file.name: file.read_bytes() for file in files}

    first = written()
    assert first == written()
    assert {"bars.png", "frontier.png", "curves.png"} <= set(first)


@pytest.mark.parametrize("count", [0, 1])
def test_a_study_with_one_run_or_none_has_a_report(tmp_path: Path, count: int) -> None:
    (tmp_path / "s").mkdir()
    for seed in range(count):
        write_run(tmp_path / "s" / str(seed), fake_results(seed=seed))
    paths = write_report(tmp_path / "s")
    read(paths.page)
    sentences = " ".join(headline(compare([tmp_path / "s"])))
    expected = "nothing is said about distillation" if count else "No run has a search result yet"
    assert expected in sentences


def test_the_headline_says_how_sure_it_is(tmp_path: Path) -> None:
    def sentences(*pairs: tuple[float, float]) -> str:
        study = tmp_path / str(len(list(tmp_path.iterdir())))
        for seed, (alone, taught) in enumerate(pairs):
            write_run(study / f"a{seed}", fake_results(mAP=alone, seed=seed))
            write_run(study / f"t{seed}", fake_results(mAP=taught, seed=seed, teacher="t", distill="full"))
        return " ".join(headline(compare([study])))

    assert "6.0 points more" in sentences((0.1, 0.16)) and "one seed (0): it may be chance" in sentences(
        (0.1, 0.16)
    )
    assert "2.0 points less" in sentences((0.1, 0.08))
    certain = sentences((0.10, 0.16), (0.11, 0.169), (0.09, 0.151))
    assert "every one of 3 seeds" in certain and "excludes zero" in certain
    doubtful = sentences((0.10, 0.16), (0.11, 0.10))
    assert "1 of 2 seeds" in doubtful and "includes zero" in doubtful
    assert "Gap closed: the teacher's result is missing" in doubtful


def test_commands_are_quoted_for_the_shell_and_name_all_seeds(tmp_path: Path) -> None:
    for seed in (1, 2):
        overrides = ["experiment=default", f"seed={seed}", "trainer.name=a b;$x", "+distill.full.weight=2"]
        write_run(
            tmp_path / str(seed), fake_results(seed=seed, distill="full", teacher="t", overrides=overrides)
        )
    comparison = compare([tmp_path])
    assert command(comparison.rows[0], comparison) == (
        "python -m psearch.train -m student=oim compression=tiny teacher=t distill=full "
        "experiment=default 'trainer.name=a b;$x' +distill.full.weight=2 seed=1,2"
    )
