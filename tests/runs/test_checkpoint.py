"""A checkpoint is there or it is not; a bad one is never the end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from psearch.runs.checkpoint import damage, load, resume, save
from tests.disk import files_no_larger_than


def state(number: int, size: int = 3) -> dict[str, object]:
    return {
        "network": {"w": torch.full((size,), float(number))},
        "step": number,
        "config": {"lr": [1e-3, None]},
    }


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    save(tmp_path, state(1))
    back = resume(tmp_path)
    assert back is not None and torch.equal(back["network"]["w"], torch.ones(3))
    assert back["config"] == {"lr": [1e-3, None]} and names(tmp_path) == {"last.pt"}


def test_nothing_saved_is_nothing_to_resume(tmp_path: Path) -> None:
    assert resume(tmp_path) is None


def test_the_one_before_and_the_best_are_kept(tmp_path: Path) -> None:
    save(tmp_path, state(1), best=True)
    save(tmp_path, state(2))
    save(tmp_path, state(3))
    steps = {name: load(tmp_path / name)["step"] for name in names(tmp_path)}
    assert steps == {"last.pt": 3, "previous.pt": 2, "best.pt": 1}


def test_no_two_share_a_byte_on_the_disk(tmp_path: Path) -> None:
    """Damage to one must not be damage to another."""
    save(tmp_path, state(1))
    for number in (2, 3):
        save(tmp_path, state(number), best=True)
        assert all(path.stat().st_nlink == 1 for path in tmp_path.iterdir())
        assert len({path.stat().st_ino for path in tmp_path.iterdir()}) == 3


def test_every_byte_counts(tmp_path: Path) -> None:
    """Whichever changes, it is found out, or it says nothing: what comes back is what was saved."""
    save(tmp_path, state(1))
    content, spare = (tmp_path / "last.pt").read_bytes(), tmp_path / "spare.pt"
    table = content.index(b"PK\x01\x02")  # of contents, at the end
    for place in [*range(0, table, 3), *range(table, len(content))]:
        spare.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            back = load(spare)
        except ValueError:
            continue
        assert torch.equal(back.pop("network")["w"], torch.ones(3)), place
        assert back == {"step": 1, "config": {"lr": [1e-3, None]}}


@pytest.mark.parametrize("zeros", [1, 512])
def test_a_tensor_with_changed_bytes_is_not_gone_on_from(
    tmp_path: Path, zeros: int, caplog: pytest.LogCaptureFixture
) -> None:
    """torch itself reads such a file in silence."""
    save(tmp_path, state(1, size=4096))
    save(tmp_path, state(2, size=4096))
    last = tmp_path / "last.pt"
    content = bytearray(last.read_bytes())
    start = content.index(torch.full((1024,), 2.0).numpy().tobytes())
    content[start : start + zeros + 3] = bytes(zeros + 3)
    last.write_bytes(content)
    assert torch.load(last, weights_only=True)["step"] == 2
    assert "the checksum of" in str(damage(last))
    back = resume(tmp_path)
    assert back is not None and back["step"] == 1
    assert "last.pt cannot be read (the checksum of" in caplog.text


def test_a_kill_between_the_two_names_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, state(1))
    put = os.replace

    def killed(source: Path, target: Path) -> None:
        put(source, target)
        if Path(target).name == "previous.pt":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", killed)
        save(tmp_path, state(2))
    back = resume(tmp_path)
    assert back is not None and back["step"] == 1
    save(tmp_path, state(2))
    assert names(tmp_path) == {"last.pt", "previous.pt"} and load(tmp_path / "last.pt")["step"] == 2


def test_a_file_of_old_without_checksums_is_read_with_a_note(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, state(1))
    load(tmp_path / "last.pt")
    assert caplog.text == ""
    old = {"network": {}, "step": 1}
    torch.save(old, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert load(tmp_path / "old.pt") == old and "old.pt has no checksums" in caplog.text


def test_anybody_reads_it_with_torch_alone(tmp_path: Path) -> None:
    save(tmp_path, state(1))
    assert torch.load(tmp_path / "last.pt", weights_only=True)["step"] == 1


def test_a_full_disk_says_so_and_costs_nothing(tmp_path: Path) -> None:
    save(tmp_path, state(1))
    save(tmp_path, state(2))
    with (
        files_no_larger_than(20_000),
        pytest.raises(OSError, match="last.pt: File too large.*intact.*make room"),
    ):
        save(tmp_path, state(3, size=100_000), best=True)
    back = resume(tmp_path)
    assert back is not None and back["step"] == 2
    assert names(tmp_path) == {"last.pt", "previous.pt"}


def test_a_directory_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot write the checkpoint .*No such file"):
        save(tmp_path / "gone", state(1))


def test_what_cannot_be_saved_is_not_blamed_on_the_disk(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="pickle") as failure:
        save(tmp_path, {"hook": lambda: None})
    assert "make room" not in str(failure.value) and names(tmp_path) == set()


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", None])
def test_a_damaged_one_falls_back_to_the_one_before(
    tmp_path: Path, damage: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, state(1))
    save(tmp_path, state(2))
    last = tmp_path / "last.pt"
    last.write_bytes(last.read_bytes()[:-200] if damage is None else damage)
    back = resume(tmp_path)
    assert back is not None and back["step"] == 1
    assert "last.pt cannot be read" in caplog.text and "before it" in caplog.text


def test_a_lost_one_falls_back_too(tmp_path: Path) -> None:
    save(tmp_path, state(1))
    save(tmp_path, state(2))
    (tmp_path / "last.pt").unlink()
    back = resume(tmp_path)
    assert back is not None and back["step"] == 1


def test_when_none_can_be_read_the_user_decides(tmp_path: Path) -> None:
    for name in ("last.pt", "previous.pt"):
        (tmp_path / name).write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match=r"no checkpoint in .* \(last.pt, previous.pt\): remove"):
        resume(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no checkpoint .*nowhere.pt"):
        load(tmp_path / "nowhere.pt")


def test_other_peoples_files_are_refused(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ValueError, match="it holds a list"):
        load(tmp_path / "list.pt")


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_nothing_in_a_checkpoint_is_executed(tmp_path: Path) -> None:
    torch.save({"network": Trap(tmp_path / "sprung")}, tmp_path / "trap.pt")
    with pytest.raises(ValueError, match="cannot be read"):
        load(tmp_path / "trap.pt")
    assert not (tmp_path / "sprung").exists()
