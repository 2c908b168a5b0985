"""What a run *is*: the part of its config that decides the result, its hash and its directory's name."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ELSEWHERE = frozenset({"logger", "outputs", "study", "directory", "stage", "device", "hydra", "published"})
"""Top-level keys that say where and how a run is watched, not what comes out of it."""

HOW = {
    "trainer": frozenset(
        {"threads", "workers", "log_every", "log_every_s", "validate_every", "rank_timeout_s"}
    ),
    "data": frozenset({"cache", "workers"}),
    **dict.fromkeys(
        ("start", "weights", "checkpoint"), frozenset({"checkpoint"})
    ),  # a file's fingerprint decides
}
"""Node (of a run, or nested in a teacher's recipe) -> keys that say how it works, not what comes out."""

Config = Mapping[str, Any]


def deciding(config: Config) -> dict[str, Any]:
    """The config without what cannot change a result, as plain JSON data."""
    kept = {key: value for key, value in config.items() if key not in ELSEWHERE}
    plain: dict[str, Any] = json.loads(json.dumps(_without_how(kept), default=str))
    return plain


def config_hash(config: Config) -> str:
    """Hex SHA-256 of the deciding config; the order of keys does not matter."""
    text = json.dumps(deciding(config), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def job_name(variant: Mapping[str, Any], config: Config) -> str:
    """`<student>-<compression>-<teacher>-<distill>-seed<seed>-<6 hex of the deciding config>`.

    Safe as a directory's name whatever the overrides hold: other characters become `_`, long names are cut;
    the hash keeps different runs apart.
    """
    parts = [str(variant[key]) for key in ("student", "compression", "teacher", "distill")]
    words = "-".join([*parts, f"seed{variant['seed']}"]).replace(",", "+")
    safe = re.sub(r"[^A-Za-z0-9_+.-]", "_", words).lstrip(".-")[:120]
    return f"{safe}-{config_hash(config)[:6]}"


def differences(old: Config, new: Config) -> list[str]:
    """One line `key: old -> new` for each deciding key that the two configs do not share."""
    before, after = dict(_leaves(deciding(old))), dict(_leaves(deciding(new)))
    keys = [key for key in {**before, **after} if before.get(key, _ABSENT) != after.get(key, _ABSENT)]
    return [f"{key}: {before.get(key, _ABSENT)} -> {after.get(key, _ABSENT)}" for key in keys]


_ABSENT = "(absent)"


def _without_how(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _without_how(_what(key, value)) for key, value in node.items()}
    return [_without_how(part) for part in node] if isinstance(node, (list, tuple)) else node


def _what(key: str, node: Any) -> Any:
    """A node without the keys that decide nothing. That pictures come through a cache of JPEGs decides their
    pixels, where it lies does not."""
    if not isinstance(node, Mapping):
        return node
    kept = {name: value for name, value in node.items() if name not in HOW.get(key, ())}
    if key == "loading" and "cache" in kept:
        kept["cache"] = kept["cache"] is not None
    return kept


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, node


NEUTRAL = (
    "seed",
    "outputs",
    "study",
    "directory",
    "logger",
    "device",
    "stage",
    "hydra",
    "defaults",
    "published",
)
"""Top-level config keys that decide nothing about a result, or (seed) are averaged over."""

AXES = ("student", "compression", "teacher", "distill")


def read_config(path: Path) -> dict[str, str]:
    """The resolved config as dotted key -> text; empty if it is missing or not YAML."""
    try:
        loaded = yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return dict(_flatten(loaded)) if isinstance(loaded, dict) else {}


def _flatten(node: Mapping[Any, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value, default=str)


def settings(config: Mapping[str, str], overrides: Iterable[str]) -> dict[str, str]:
    """What decides a result besides the four axes and the seed: keys of the config, or of the overrides for a
    run that left no config behind."""
    if not config:
        pairs = (str(override).lstrip("+~").partition("=") for override in overrides)
        config = {key: value for key, _, value in pairs if key not in AXES}
    return {
        key: value
        for key, value in config.items()
        if key.split(".")[0] not in NEUTRAL and key.split(".")[-1] != "seed"
    }
