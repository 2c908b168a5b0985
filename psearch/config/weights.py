"""Weights named in a config, by their content: the same tensors elsewhere are the same run, others under the
same name are another."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from psearch.models.weights import WORDS, Source, file_of, read
from psearch.runs.provenance import weights_digest

KEYS = ("student.start", "compression.backbone.weights")
"""Where a run, or a teacher's recipe, names weights that its training starts from."""

FROZEN = ("checkpoint", "weights")
"""Where the node of a frozen teacher names those it has."""


def with_fingerprints(node: Any, path: str = "") -> Any:
    """A run's plain config, or a teacher's node in it (`path`, "teacher.<name>"), with each file of weights
    as {checkpoint, fingerprint}.

    ValueError for a file that is missing, damaged or holds no weights.
    """
    if not isinstance(node, Mapping):
        return node
    whole = dict(node)
    for key in FROZEN if "_target_" in node else KEYS:
        whole = _at(whole, key.split("."), ".".join(filter(None, [path, key])))
    return whole


def _at(node: Any, keys: list[str], full: str) -> Any:
    if not isinstance(node, Mapping) or keys[0] not in node:
        return node
    first, *rest = keys
    value = _at(node[first], rest, full) if rest else named(node[first], full)
    return {**node, first: value}


def named(source: Source, key: str) -> Source:
    """A source as a config keeps it: a file as {checkpoint: path, fingerprint: 12 hex digits of its tensors};
    a word as it is, and nothing as None. key: of the config, for messages."""
    path = file_of(source)
    if path is None or isinstance(source, Mapping):
        return None if source == "none" else source
    if not path.is_file():
        words = f"; or write one of {', '.join(WORDS)}" if key.endswith("weights") else ""
        raise ValueError(f"{key}={path}: there is no such file, check the path{words}")
    stat = path.stat()
    return {"checkpoint": str(path), "fingerprint": _digest(path, key, stat.st_size, stat.st_mtime_ns)}


@cache
def _digest(path: Path, key: str, size: int, changed: int) -> str:
    return weights_digest(read(path, f"{key}={path}").tensors)
