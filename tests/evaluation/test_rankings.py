"""ranking.npz: what is written is read, and what is not of this data is refused."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from psearch.evaluation.result import RANKING, Ranking, read_ranking, write_ranking


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two queries, three answers; the second has but one."""
    scenes = np.array([[4, 0, 2], [3, -1, -1]])
    said = Ranking(scenes, scenes + 1, scenes / 10, scenes > 2, np.arange(24.0).reshape(2, 3, 4))
    write_ranking(tmp_path / RANKING, said)
    return tmp_path / RANKING


def test_what_is_written_is_read(file: Path) -> None:
    said = read_ranking(file, scenes=5, queries=2)
    write_ranking(file.with_name("again.npz"), said)
    again = read_ranking(file.with_name("again.npz"), scenes=5, queries=2)
    for field in fields(Ranking):
        np.testing.assert_array_equal(getattr(said, field.name), getattr(again, field.name))
    assert said.scenes.tolist() == [[4, 0, 2], [3, -1, -1]] and said.correct.sum() == 2


@pytest.mark.parametrize(("scenes", "queries"), [(4, 2), (5, 3)])
def test_answers_to_other_data_are_refused(file: Path, scenes: int, queries: int) -> None:
    with pytest.raises(ValueError, match=f"not of {queries} queries and {scenes} scenes"):
        read_ranking(file, scenes=scenes, queries=queries)


def test_a_file_that_is_gone_or_damaged(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(ValueError, match="not a readable"):
        read_ranking(file, scenes=5, queries=2)
    file.unlink()
    with pytest.raises(ValueError, match="No such file"):
        read_ranking(file, scenes=5, queries=2)
