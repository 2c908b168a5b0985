"""What a run leaves behind for others to read: `results.json` as a dataclass, `cost.json` and `config.yaml`.

What comes from a file is data, perhaps damaged, perhaps foreign: whatever is read here has the types and the
ranges that its fields promise, or it counts as not there, with the reason.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from reprlib import repr as short
from typing import Any, TypeVar

import yaml

from psearch.files import replace_json
from psearch.identity import AXES

log = logging.getLogger(__name__)

OUTPUTS = "outputs"
"""What records call the folder of all outputs, wherever it lies."""

RESULTS, COST, CONFIG = "results.json", "cost.json", "config.yaml"
"""What the files are called in a run directory."""

ROLES = ("student", "teacher", "two_step")
DEEPEST, LARGEST = 8, 2.0**63
"""Levels of nesting, and the size of a number, beyond which a file is not ours."""

Plain = Mapping[str, Any]
"""Strings, finite numbers, lists and mappings of these, as JSON has them."""

Reader = Callable[[str, Any], Any]
"""A field's name in messages, its value in a file -> what the field holds. ValueError if it is not that."""

T = TypeVar("T")


@dataclass(frozen=True)
class Variant:
    """The words a run was chosen with. data: name of the data set; "" where it is not recorded."""

    student: str
    compression: str
    teacher: str
    distill: str
    seed: int
    overrides: tuple[str, ...] = ()
    data: str = ""

    @property
    def axes(self) -> tuple[str, str, str, str]:
        """(student, compression, teacher, distill)."""
        return self.student, self.compression, self.teacher, self.distill

    @classmethod
    def parse(cls, content: Any) -> Variant:
        """From JSON; ValueError names the word that is missing or wrong."""
        words = _mapping("variant", content)
        axes: dict[str, Any] = {axis: _text(f"variant.{axis}", words.get(axis)) for axis in AXES}
        return cls(
            **axes,
            seed=_integer("variant.seed", words.get("seed")),
            overrides=_list_of(_text)("variant.overrides", words.get("overrides") or ()),
            data=_text("variant.data", words.get("data") or ""),
        )


@dataclass(frozen=True)
class TeacherEntry:
    """A teacher that a run learned from. directory: as recorded, see `locate`. fingerprint: 12 hex digits of
    its weights. more: whatever else was recorded of it."""

    name: str
    directory: str = ""
    fingerprint: str = ""
    more: Plain = field(default_factory=dict)

    @classmethod
    def parse(cls, content: Any) -> TeacherEntry:
        """From JSON; ValueError for anything but texts where texts belong."""
        more = _part()("teachers", content)
        own: dict[str, Any] = {
            key: _text(f"teachers.{key}", more.pop(key, None) or "")
            for key in ("name", "directory", "fingerprint")
        }
        return cls(**own, more=more)

    def to_json(self) -> dict[str, Any]:
        """As `results.json` has it."""
        return {"name": self.name, "directory": self.directory, "fingerprint": self.fingerprint, **self.more}


@dataclass(frozen=True)
class RunRecord:
    """`results.json`: that a run is finished, what was measured of it, how, and where it came from.

    role, variant: None of a training that nobody measured (a teacher in `outputs/teachers`). protocol: two
    results are comparable if it is equal. metrics: accuracies, 0…1. per_query: lists in protocol order, None
    where a query was skipped. intervals: (low, high), 95 % over queries. searches: the same search by other
    protocols. code: {commit, dirty, closure: digest of the code that decides the result, files: each file of
    it -> digest}. made_from: what a reference was made from; made again if that changes. starts: config key
    -> digest of the weights training began from. data: part -> digest of what the network was trained on.
    more: keys that this version does not know, kept.
    """

    status: str = "ok"
    role: str | None = None
    variant: Variant | None = None
    protocol: Plain = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    per_query: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    searches: Mapping[str, Plain] = field(default_factory=dict)
    cost: Plain = field(default_factory=dict)
    training: Plain = field(default_factory=dict)
    teachers: tuple[TeacherEntry, ...] = ()
    code: Plain = field(default_factory=dict)
    machine: Plain = field(default_factory=dict)
    config_hash: str = ""
    made_from: Plain = field(default_factory=dict)
    starts: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    more: Plain = field(default_factory=dict)

    @property
    def closure(self) -> str:
        """Digest of the code that decides the result; "" where it is not recorded."""
        return str(self.code.get("closure") or "")

    @classmethod
    def read(cls, directory: Path) -> RunRecord | None:
        """The record of a run directory, or None: one that is missing or unusable counts as none. An unusable
        one is warned of, once."""
        try:
            return cls.load(directory)
        except FileNotFoundError:
            return None
        except ValueError as error:
            _warn(str(error))
            return None

    @classmethod
    def load(cls, directory: Path) -> RunRecord:
        """The record of a run directory. FileNotFoundError if there is none, ValueError with the file's name
        and the reason if it is not usable."""
        return _loaded(directory / RESULTS, cls.parse)

    @classmethod
    def parse(cls, content: Any) -> RunRecord:
        """From JSON, or what is to become JSON; ValueError names the key that is wrong. A metric that is null
        was not measured."""
        parts = dict(_mapping("the record", content))
        if parts.get("status") != "ok":
            raise ValueError(f"status is {short(parts.get('status'))}")
        given = {key: parts.pop(key, None) for key in READERS}
        known = {key: READERS[key](key, value) for key, value in given.items() if value is not None}
        return cls(**known, more=_part()("the record", parts))

    def to_json(self) -> dict[str, Any]:
        """As `results.json` has it; what is empty is left out but for what every measured run has."""
        parts = {part.name: getattr(self, part.name) for part in fields(self) if part.name != "more"}
        parts["variant"] = self.variant and {**asdict(self.variant), "overrides": [*self.variant.overrides]}
        parts["teachers"] = [teacher.to_json() for teacher in self.teachers]
        always = () if self.role is None else ("variant", "protocol", "metrics", "teachers")
        kept = {
            key: value for key, value in parts.items() if key in always or value not in (None, "", {}, [])
        }
        return {**json.loads(json.dumps(kept, allow_nan=False)), **self.more}

    def write(self, directory: Path) -> None:
        """Write `results.json`, as a whole or not at all."""
        replace_json(directory / RESULTS, self.to_json())


@dataclass(frozen=True)
class MeasuredCost:
    """`cost.json`: cost measured for a comparison, when all runs were there. measured: of what and where."""

    cost: Plain
    measured: str = ""

    @classmethod
    def read(cls, directory: Path) -> MeasuredCost | None:
        """What a run directory has; None where it is missing or unusable."""
        try:
            return _loaded(directory / COST, cls._parse)
        except (FileNotFoundError, ValueError):
            return None

    @classmethod
    def _parse(cls, content: Any) -> MeasuredCost:
        parts = _mapping("the file", content)
        return cls(_cost("cost", parts.get("cost")), _text("measured", parts.get("measured", "")))

    def write(self, directory: Path) -> None:
        """Write `cost.json`, as a whole or not at all."""
        replace_json(directory / COST, asdict(self))


def read_config(path: Path) -> dict[str, Any]:
    """The resolved config of a run, from its `config.yaml`. FileNotFoundError if there is none, ValueError
    with the reason if it is not one."""
    try:
        config = yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        json.dumps(config, default=str)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    if not isinstance(config, dict) or not all(isinstance(key, str) for key in config):
        raise ValueError("not a mapping")
    return config


def located(recorded: Path | str, home: Path) -> Path:
    """Where something lies that a record names, also after all outputs were moved or copied to `home`."""
    path = Path(recorded)
    below = path.parts[1:] if path.parts[:1] == (OUTPUTS,) else path.parts[-2:]
    moved = home.joinpath(*below)
    return moved if moved.exists() or not path.exists() else path


def locate(run: Path, recorded: str) -> Path | None:
    """Where a teacher's directory lies that a run's record names; None if it is not here."""
    study = (run if len(run.parts) > 2 else run.resolve()).parent
    place = located(recorded, study.parent) if recorded else None
    return place if place is not None and place.is_dir() else None


@cache
def _warn(reason: str) -> None:
    log.warning("%s: it counts as none", reason)


def _loaded(path: Path, parse: Callable[[Any], T]) -> T:
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not usable ({error})") from error


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} is {short(value)}, not a mapping")
    return value


def _text(name: str, value: Any) -> str:
    """A text that can be written and can name a file: no NUL, no half of a surrogate pair."""
    if not isinstance(value, str) or "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
        raise ValueError(f"{name} is {short(value)}")
    return value


def _number(name: str, value: Any, low: float = -LARGEST, high: float = LARGEST) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{name} is {short(value)}")  # nan is within no limits
    return value


def _amount(name: str, value: Any) -> Any:
    return _number(name, value, low=0)


def _share(name: str, value: Any) -> float:
    return float(_number(name, value, low=0, high=1))


def _integer(name: str, value: Any) -> int:
    if not isinstance(value, int):
        raise ValueError(f"{name} is {short(value)}")
    return int(_number(name, value))


def _role(name: str, value: Any) -> str:
    if value not in ROLES:
        raise ValueError(f"role is {short(value)}, expected one of {', '.join(ROLES)}")
    return str(value)


def _plain(name: str, value: Any, depth: int = 0) -> Any:
    if depth > DEEPEST:
        raise ValueError(f"{name} is nested too deeply")
    if isinstance(value, Mapping):
        return {_text(name, key): _plain(f"{name}.{key}", part, depth + 1) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(name, part, depth + 1) for part in value]
    if value is None or isinstance(value, bool):
        return value
    return _text(name, value) if isinstance(value, str) else _number(name, value)


def _part(**readers: Reader) -> Reader:
    """Reads a mapping of plain things, some of whose keys, where they are there, are of a known kind."""

    def read(name: str, value: Any) -> dict[str, Any]:
        content: dict[str, Any] = _plain(name, _mapping(name, value))
        for key in readers.keys() & {key for key, part in content.items() if part is not None}:
            readers[key](f"{name}.{key}", content[key])
        return content

    return read


def _each(read: Reader) -> Reader:
    """Reads a mapping of things of one kind; null is the same as not being there."""

    def read_all(name: str, value: Any) -> dict[str, Any]:
        given = {_text(name, key): part for key, part in _mapping(name, value).items() if part is not None}
        return {key: read(f"{name}.{key}", part) for key, part in given.items()}

    return read_all


def _list_of(read: Reader, *, length: int | None = None) -> Reader:
    def read_all(name: str, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple) or length not in (None, len(value)):
            raise ValueError(f"{name} is {short(value)}, not a list{f' of {length}' if length else ''}")
        return tuple(read(name, part) for part in value)

    return read_all


COSTS = {"parameters": "parameters", "macs": "MACs", "latency_ms": "latency, ms", "file_bytes": "file size"}
"""Costs that comparisons show, with their titles."""

_cost = _part(**dict.fromkeys(COSTS, _amount))

PROTOCOL: Mapping[str, Reader] = {
    **dict.fromkeys(("dataset", "fingerprint", "split", "mode", "similarity", "rerank"), _text),
    **dict.fromkeys(("score", "low", "nms", "limit"), _amount),
    **dict.fromkeys(("gallery_size", "queries", "queries_without_detection"), _integer),
    "skipped": _list_of(_integer),
}

READERS: Mapping[str, Reader] = {
    "status": _text,
    "role": _role,
    "variant": lambda _, value: Variant.parse(value),
    "protocol": _part(**PROTOCOL),
    "metrics": _each(_share),
    "per_query": _each(_list_of(lambda name, value: None if value is None else _share(name, value))),
    "intervals": _each(_list_of(_share, length=2)),
    "searches": _each(_part(**PROTOCOL)),
    "cost": _cost,
    "training": _part(**dict.fromkeys(("epochs", "steps", "seconds", "peak_memory_mb"), _amount)),
    "teachers": _list_of(lambda _, value: TeacherEntry.parse(value)),
    "code": _part(commit=_text, closure=_text, files=_each(_text)),
    "machine": _part(),
    "config_hash": _text,
    "made_from": _part(),
    "starts": _each(_text),
    "data": _each(_text),
}
"""Field of a `RunRecord` -> how it is read from a file."""
