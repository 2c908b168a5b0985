"""A run's resolved config as flat text: what differs between runs, and what decides a result."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

NEUTRAL = ("seed", "study", "directory", "logger", "device", "stage", "hydra", "defaults", "published")
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
