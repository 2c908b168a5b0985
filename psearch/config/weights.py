"""Weights named in a config, by their content: the same file elsewhere is the same run, others under the same
name are another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psearch.weights import named

KEYS = ("student.start", "compression.backbone.weights", "checkpoint", "weights")
"""Where a run, or a teacher, names weights that a training starts from or a frozen network has."""


def with_fingerprints(node: Any, path: str = "") -> Any:
    """A run's plain config, or a teacher's node in it (`path`, "teacher.<name>"), with each file of weights
    as {checkpoint, fingerprint}. A teacher's own `checkpoint=` in place of a recipe stays a path.

    ValueError for a file that is not there.
    """
    if not isinstance(node, Mapping):
        return node
    whole = dict(node)
    for key in KEYS if "_target_" in node else KEYS[:2]:
        whole = _at(whole, key.split("."), ".".join(filter(None, [path, key])))
    return whole


def _at(node: Any, keys: list[str], full: str) -> Any:
    if not isinstance(node, Mapping) or keys[0] not in node:
        return node
    first, *rest = keys
    value = _at(node[first], rest, full) if rest else named(node[first], full)
    return {**node, first: value}
