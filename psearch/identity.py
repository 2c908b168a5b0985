"""What a run *is*: the part of its config that decides the result, its hash and its directory's name.

Two runs are the same if they share what decides: their config without `NEUTRAL` keys and without defaults
that are merely written out, the content of their data (`Benchmark.fingerprint`) and of the weights that they
start from.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from psearch.sources import code_digest, signature_defaults

AXES = ("student", "compression", "teacher", "distill")
"""The choices that name a variant of the method."""

NEUTRAL = {
    "study": "where a run is kept",
    "directory": "where a run is kept",
    "outputs": "where a run is kept",
    "stage": "how much of a run is done now",
    "rerun": "which runs are done again",
    "device": "what computes: rounding differs, and the machine is recorded",
    "logger": "how a run is watched",
    "published": "what the report prints beside it",
    "hydra": "how runs are launched",
    "experiment": "short for keys that are in the config themselves",
    "scale": "short for keys that are in the config themselves",
    "extensions": "what may be built; what is built has its _target_ in the config, and its code counts",
    "trainer.workers": "who loads batches: the same ones",
    "trainer.threads": "who computes",
    "trainer.log_every": "how a run is watched",
    "trainer.log_every_s": "how a run is watched",
    "trainer.validate_every": "what is kept as best.pt; a result is that of the last epoch",
    "trainer.monitor": "what is kept as best.pt; a result is that of the last epoch",
    "trainer.rank_timeout_s": "when a training is given up",
    "data.root": "where the data lies: its content decides",
    "data.cache": "where what was read of the data is kept",
    "data.workers": "who draws pictures: the same ones",
}
"""Key -> why it decides nothing. A key stands for all below it, and means the same in a teacher's recipe.

The one list of its kind: names of runs, addresses of teachers, resuming, comparing and the report ask it.
"""

PRESENCE = {"student.loading.cache": "through JPEGs pixels are others; wherever they are kept"}
"""Key -> why only that it is set decides."""

LIBRARIES = frozenset({"torch", "torchvision", "timm"})
"""Packages of which a config names parts, and whose versions are on record."""

Config: TypeAlias = Mapping[str, Any]


def decides(key: str) -> bool:
    """Whether a dotted config key (or an override's group) can change a result."""
    parts = own_key(key.replace("/", ".")).split(".")
    return not any(".".join(parts[: length + 1]) in NEUTRAL for length in range(len(parts)))


def own_key(key: str) -> str:
    """A key as the recipe has it that it belongs to: `teacher.reid.trainer.epochs` is `trainer.epochs`."""
    return re.sub(r"^teacher\.[^.]+\.", "", key)


def deciding(config: Config) -> dict[str, Any]:
    """The config as far as it decides, as plain JSON data that is equal for equal runs.

    Left out: neutral keys, and keys of a node with a `_target_` that say what its signature says anyway. A
    file of weights ({checkpoint, fingerprint}) is its fingerprint alone, which for a teacher stands in place
    of the recipe.
    """
    kept: dict[str, Any] = _deciding(config)
    return kept


def _deciding(node: Any, path: str = "") -> Any:
    if isinstance(node, list | tuple):
        return [_deciding(part, path) for part in node]
    if not isinstance(node, Mapping):
        return _plain(node)
    if node.get("checkpoint") and node.get("fingerprint"):
        return {"fingerprint": str(node["fingerprint"])}
    defaults, kept = signature_defaults(str(node.get("_target_", ""))), {}
    for name, value in node.items():
        key = f"{path}.{name}" if path else str(name)
        if not decides(key) or (name == "checkpoint" and value is None):
            continue
        plain = value is not None if own_key(key) in PRESENCE else _deciding(value, key)
        if name not in defaults or _text(plain) != _text(_deciding(defaults[name])):
            kept[str(name)] = plain
    return kept


def _plain(value: Any) -> Any:
    """A leaf as JSON knows it; 10.0 is 10, and True is not 1."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _text(plain: Any) -> str:
    return plain if isinstance(plain, str) else json.dumps(plain, sort_keys=True)


def config_hash(config: Config, data: str = "") -> str:
    """Hex SHA-256 of the deciding config and, for a run, the fingerprint of its data."""
    return _sha256([deciding(config), data])


def job_name(variant: Mapping[str, Any], config: Config, data: str = "") -> str:
    """`<student>-<compression>-<teacher>-<distill>-seed<seed>-<6 hex of config and data>`.

    data: the fingerprint of the data. Safe as a directory's name whatever the overrides hold: other
    characters become `_`, long names are cut; the hash keeps different runs apart.
    """
    words = "-".join([*(str(variant[axis]) for axis in AXES), f"seed{variant['seed']}"]).replace(",", "+")
    safe = re.sub(r"[^A-Za-z0-9_+.-]", "_", words).lstrip(".-")[:120]
    return f"{safe}-{config_hash(config, data)[:6]}"


def address(recipe: Config, data: str, code: str) -> str:
    """12 hex digits for what a teacher is made from: its recipe, the fingerprint of what it is trained on,
    and the digest of the code that trains it."""
    return _sha256([deciding(recipe), data, code])[:12]


def differences(old: Config, new: Config) -> list[str]:
    """One line `key: old -> new` for each deciding key that the two configs do not share."""
    before, after = dict(leaves(deciding(old))), dict(leaves(deciding(new)))
    keys = [k for k in {**before, **after} if _text(before.get(k, _ABSENT)) != _text(after.get(k, _ABSENT))]
    told = [{**decided, **dict(leaves(whole))} for decided, whole in ((before, old), (after, new))]
    return [f"{key}: {told[0].get(key, _ABSENT)} -> {told[1].get(key, _ABSENT)}" for key in keys]


_ABSENT = "(absent)"


def stale(made_from: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The ingredients (`code`, `data`, a teacher …: name -> digest) that are others now than those a finished
    run recorded; one that it did not record counts as another."""
    return [name for name, digest in now.items() if made_from.get(name) != digest]


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of everything in a config that is no mapping, or an empty one."""
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, node


def settings(config: Config, overrides: Iterable[str] = ()) -> dict[str, str]:
    """What a row of a comparison has in common, as dotted key -> text: what decides, but for seeds, which are
    averaged over. From the overrides for a run that left no config behind."""
    if not config:
        pairs = (str(override).lstrip("+~").partition("=") for override in overrides)
        found = {key: value for key, _, value in pairs if decides(key) and key not in AXES}
    else:
        found = flattened(deciding(config))
    return {key: value for key, value in found.items() if own_key(key) != "seed"}


def flattened(config: Config) -> dict[str, str]:
    """Dotted key -> text, for tables."""
    return {
        key: value if isinstance(value, str) else json.dumps(value, default=str)
        for key, value in leaves(config)
        if key
    }


def targets(node: Any) -> Iterator[str]:
    """Every `_target_` in a config."""
    if isinstance(node, Mapping):
        yield from [str(node["_target_"])] if "_target_" in node else []
        node = list(node.values())
    for part in node if isinstance(node, list | tuple) else ():
        yield from targets(part)


def code_of(config: Config, *roots: str) -> str:
    """`code_digest` of what a config builds and of the modules that do the building (roots), also where that
    lies in an extension; torch and its like are known by their versions."""
    built = list(targets({key: node for key, node in config.items() if decides(key)}))
    packages = {"psearch", *(target.partition(".")[0] for target in built)} - LIBRARIES
    return code_digest([*built, *roots], tuple(sorted(packages)))


def _sha256(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
