"""Same arguments, same directory: resumed or refused."""

from __future__ import annotations

import json
import logging
import pickle
import signal
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from psearch.engine.signals import Interrupted
from psearch.runs.directory import acquire

CONFIG = {
    "seed": 1,
    "study": "default",
    "directory": None,
    "device": "cpu",
    "data": {"_target_": "psearch.data.synthetic", "scenes": 1500},
    "trainer": {"epochs": 5, "threads": 1, "workers": 0, "log_every_s": 30},
    "teacher": {"reid": {"trainer": {"epochs": 4, "threads": 1}}},
    "logger": {"mode": "offline"},
}


def changed(path: str, value: object) -> dict[str, Any]:
    config = deepcopy(CONFIG)
    node: Any = config
    *parents, last = path.split(".")
    for key in parents:
        node = node[key]
    node[last] = value
    return config


def use(directory: Path, config: dict[str, Any] = CONFIG) -> None:
    with acquire(directory, config, wait_s=0):
        pass


def test_the_config_is_written_and_comes_back_plain(tmp_path: Path) -> None:
    use(tmp_path / "study" / "job")
    assert yaml.safe_load((tmp_path / "study" / "job" / "config.yaml").read_text()) == CONFIG


@pytest.mark.parametrize(
    ("path", "value"),
    [("logger.mode", "online"), ("study", "other"), ("directory", "x"), ("device", "cuda"),
     ("trainer.threads", 2), ("trainer.log_every_s", 5), ("teacher.reid.trainer.threads", 8)],
)  # fmt: skip
def test_what_decides_nothing_may_change(tmp_path: Path, path: str, value: object) -> None:
    use(tmp_path)
    use(tmp_path, changed(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [("seed", 2), ("trainer.epochs", 6), ("teacher.reid.trainer.epochs", 5), ("data.new", [1])],
)
def test_another_deciding_config_is_refused_by_name(tmp_path: Path, path: str, value: object) -> None:
    use(tmp_path)
    before = (tmp_path / "config.yaml").read_bytes()
    with pytest.raises(ValueError, match=rf"{path}: .* -> {value}".replace("[1]", r"\[1\]")):
        use(tmp_path, changed(path, value))
    assert (tmp_path / "config.yaml").read_bytes() == before
    use(tmp_path)  # the refusal let go of the directory


def test_only_what_differs_is_named(tmp_path: Path) -> None:
    use(tmp_path)
    with pytest.raises(ValueError) as refusal:
        use(tmp_path, changed("trainer.epochs", 6) | {"study": "other"})
    assert "trainer.epochs: 5 -> 6. Use" in str(refusal.value) and "study" not in str(refusal.value)


@pytest.mark.parametrize("text", ["seed: [1", "just a sentence", "", "\x00"])
def test_a_broken_config_is_no_licence_to_overwrite(tmp_path: Path, text: str) -> None:
    use(tmp_path)
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match="config.yaml is broken .*restore that file, or remove"):
        use(tmp_path)
    assert (tmp_path / "config.yaml").read_text() == text


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with (
        acquire(tmp_path, CONFIG),
        pytest.raises(ValueError, match=r"in use by process \d+ on .*: wait for it, stop it"),
    ):
        use(tmp_path)
    use(tmp_path)


def test_a_failure_is_recorded_and_success_clears_it(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), acquire(tmp_path, CONFIG):
        raise RuntimeError("the sky fell\non us")
    failure = json.loads((tmp_path / "FAILED").read_text())
    assert failure["error"] == "RuntimeError: the sky fell"
    assert "test_directory.py" in failure["traceback"] and "on us" in failure["traceback"]
    assert "the sky fell" in (tmp_path / "log.txt").read_text()
    use(tmp_path)
    assert not (tmp_path / "FAILED").exists()


def test_an_interruption_is_no_failure_and_no_success(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), acquire(tmp_path, CONFIG):
        raise RuntimeError
    with pytest.raises(KeyboardInterrupt), acquire(tmp_path, CONFIG):
        raise KeyboardInterrupt
    assert json.loads((tmp_path / "FAILED").read_text())["error"] == "RuntimeError:"


def test_the_first_error_survives_a_directory_that_is_gone(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    with pytest.raises(RuntimeError, match="first"), acquire(directory, CONFIG):
        directory.rename(tmp_path / "elsewhere")
        raise RuntimeError("first")


def test_finished_means_results_with_status_ok(tmp_path: Path) -> None:
    with acquire(tmp_path, CONFIG) as run:
        assert not run.finished and run.results is None
        run.finish({"status": "ok", "metrics": {"mAP": 0.1}})
    with acquire(tmp_path, CONFIG) as run:
        assert run.finished and run.results == {"status": "ok", "metrics": {"mAP": 0.1}}
        with pytest.raises(ValueError, match="metrics.mAP is nan"):
            run.finish({"status": "ok", "metrics": {"mAP": float("nan")}})
        assert run.finished and not list(tmp_path.glob("*.tmp"))
        (tmp_path / "results.json").write_text('{"status": "o')
        assert not run.finished


def test_the_log_is_kept_and_only_while_the_run_is(tmp_path: Path) -> None:
    logger = logging.getLogger("psearch.somewhere")
    with acquire(tmp_path, CONFIG):
        logger.info("inside")
    logger.warning("outside")
    use(tmp_path)
    text = (tmp_path / "log.txt").read_text()
    assert "INFO psearch.somewhere: inside" in text and "outside" not in text


def test_an_interruption_survives_the_way_out_of_a_worker() -> None:
    stopped = pickle.loads(pickle.dumps(Interrupted(signal.SIGTERM, "saved")))
    assert stopped.exit_code == 143 and "saved" in str(stopped)
