"""The schema of a config: what the signatures of its `_target_`s take.

Hydra lets a misspelt key of an experiment file pass until the constructor is called, perhaps after an
hour in a queue. Here a plain config is held against the signatures before anything is built. Only what is
trusted is imported for that: importing runs code.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from difflib import SequenceMatcher
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from psearch.build import target_of

SPECIAL = {"_target_", "_partial_"}


def check_targets(node: Any, path: str = "") -> None:
    """Every key beside a `_target_` must be a parameter of it, and suit the parameter's annotation.

    node: a plain, possibly unresolved config. Raises ValueError that names the key and the nearest one.
    """
    for i, part in enumerate(node if isinstance(node, list) else ()):
        check_targets(part, f"{path}[{i}]")
    if not isinstance(node, dict):
        return
    known = parameters(node, path)
    for key, value in node.items():
        name = f"{path}.{key}" if path else key
        if known is not None and key not in SPECIAL:
            if key not in known:
                raise ValueError(f"{name}: {node['_target_']} has no parameter '{key}'{hint(key, known)}")
            if not _open(value) and not _suits(value, known[key]):
                raise ValueError(f"{name}={value}: {inspect.formatannotation(known[key])} is expected")
        check_targets(value, name)


def parameters(node: dict[str, Any], path: str) -> dict[str, Any] | None:
    """Name and annotation of all that the node's target takes; None where there is no target to ask."""
    if "_target_" not in node:
        return None
    return _signature(target_of(node, path))


def hint(word: str, valid: Iterable[str]) -> str:
    """`; did you mean ...?` with the valid dotted key most like `word`, its last part counting double."""

    def likeness(key: str) -> float:
        last = SequenceMatcher(None, word.rpartition(".")[2], key.rpartition(".")[2])
        return SequenceMatcher(None, word, key).ratio() + last.ratio()

    best = max(sorted(valid), key=likeness, default=None)
    return f"; did you mean '{best}'?" if best else ""


@cache
def _signature(called: Callable[..., Any]) -> dict[str, Any] | None:
    try:
        signature = inspect.signature(called, eval_str=True)
    except NameError:  # an annotation that exists only for the type checker
        signature = inspect.signature(called)
    except ValueError:  # a builtin without a signature
        return None
    if any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        return None
    return {name: parameter.annotation for name, parameter in signature.parameters.items()}


def _open(value: Any) -> bool:
    """A value that is not known yet: an interpolation, or one that must still be given."""
    return isinstance(value, str) and ("${" in value or value == "???")


def _suits(value: Any, annotation: Any) -> bool:
    """Whether a value suits an annotation of numbers, switches and words; others suit everything."""
    if get_origin(annotation) in (Union, UnionType):
        return any(_suits(value, option) for option in get_args(annotation))
    if get_origin(annotation) is Literal:
        return value in get_args(annotation)
    if annotation in (None, NoneType, bool):
        return isinstance(value, annotation or NoneType)
    if annotation in (int, float):
        return isinstance(value, int | annotation) and not isinstance(value, bool)
    return True
