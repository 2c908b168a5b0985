"""From a plain config node to the object it names, and which names may be called at all.

A config is input, not code: it may come from a checkpoint or a study that somebody else wrote. Built is what
the program's own files in conf/ name, torch's layers, optimisers and schedules, and what this command line
trusts (docs/extending.md); nothing that is read from a file adds to that.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

CONF = Path(__file__).resolve().parents[1] / "conf"

TORCH = {"torch.nn": "Module", "torch.optim": "Optimizer", "torch.optim.lr_scheduler": "LRScheduler"}
"""Module -> the class in it whose public subclasses, by their names in that module, are built."""

REFUSED = frozenset({"_args_", "_convert_", "_recursive_"})
"""Keys of a node that mean something to Hydra and nothing here."""


@dataclass(frozen=True)
class Trust:
    """What this command line trusts beside what the program ships.

    modules: whose classes and functions may be built (`extensions=`). targets: further dotted names, those in
    config files of its own directories.
    """

    modules: frozenset[str] = frozenset()
    targets: frozenset[str] = frozenset()

    def __or__(self, other: Trust) -> Trust:
        return Trust(self.modules | other.modules, self.targets | other.targets)


NO_FURTHER = Trust()
_TRUST: ContextVar[Trust] = ContextVar("_TRUST", default=NO_FURTHER)


def trusted() -> Trust:
    """What is trusted here; by default nothing beside what the program ships."""
    return _TRUST.get()


@contextmanager
def trusting(trust: Trust) -> Iterator[None]:
    """Build with this trust: set by entry points from the command line, and by jobs as they were given it."""
    token = _TRUST.set(trust)
    try:
        yield
    finally:
        _TRUST.reset(token)


def build(node: Mapping[str, Any]) -> Any:
    """Call the `_target_` of a plain config node, or make the callable it asks for with `_partial_`: facts
    known only at run time are given to that. Nodes within it are built first; text stays as it is.

    ValueError, before anything is called, for a target that is not trusted. A mistake that the target itself
    reports as ValueError or OSError comes out as that, any other failure as ValueError with key and target.
    """
    for path, part in nodes(node):
        target_of(part, path)
    return _built(node, "")


def target_of(node: Mapping[str, Any], path: str = "") -> Callable[..., Any]:
    """What a node's `_target_` names. ValueError with the node's key if it is not trusted, or if the node has
    a special key of Hydra which means nothing here."""
    try:
        target = located(node["_target_"])
    except ValueError as error:
        raise ValueError(f"{path}: {error}" if path else str(error)) from error
    if keys := sorted(REFUSED & set(node)):
        raise ValueError(
            f"{_join(path, keys[0])} is refused: of Hydra's keys only _target_ and _partial_ count"
        )
    return target


def _built(node: Any, path: str) -> Any:
    if isinstance(node, list | tuple):
        return [_built(part, f"{path}[{i}]") for i, part in enumerate(node)]
    if not isinstance(node, Mapping):
        return node
    values = {key: _built(value, _join(path, key)) for key, value in node.items()}
    if "_target_" not in node:
        return values
    called = target_of(node, path)
    del values["_target_"]
    if values.pop("_partial_", False):
        return partial(called, **values)
    try:
        return called(**values)
    except (ValueError, OSError):
        raise
    except Exception as error:
        where = f"{path}: " if path else ""
        raise ValueError(f"{where}{node['_target_']}: {type(error).__name__}: {error}") from error


def located(target: Any) -> Callable[..., Any]:
    """What a `_target_` names: something at the top of a module. Nothing is imported before its name is
    trusted. ValueError if it is not, or if it cannot be imported."""
    home, _, name = target.rpartition(".") if isinstance(target, str) else ("", "", "")
    named = isinstance(target, str) and (target in shipped() or target in trusted().targets)
    public = not name.startswith("_")
    module = next((m for m in trusted().modules if public and f"{home}.".startswith(f"{m}.")), None)
    torchs = home in TORCH and public
    if not (named or module or torchs):
        raise _refusal(target)
    try:
        found: Any = getattr(_module(home), name)
    except Exception as error:  # importing an extension may fail in any way
        raise ValueError(f"cannot import {target}: {error}") from error
    if not (named or _is_defined_in(found, module) or (torchs and _is_torchs(found, home))):
        raise _refusal(target)
    if not callable(found):
        raise ValueError(f"_target_ {target} cannot be called")
    called: Callable[..., Any] = found
    return called


def nodes(node: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every node with a `_target_` in a plain config, with its dotted key."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield path, node
        for key, value in node.items():
            yield from nodes(value, _join(path, key))
    elif isinstance(node, list | tuple):
        for i, part in enumerate(node):
            yield from nodes(part, f"{path}[{i}]")


@cache
def targets_named(folder: Path) -> frozenset[str]:
    """Every dotted name that a config file below a folder has as a `_target_`."""
    return frozenset(str(node["_target_"]) for file in _files(folder) for _, node in nodes(file))


def shipped() -> frozenset[str]:
    """What the program's own config files name."""
    return targets_named(CONF)


def _files(folder: Path) -> Iterator[Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for file in sorted(folder.rglob("*.yaml")):
        try:
            yield yaml.load(file.read_text(encoding="utf-8"), loader)
        except (OSError, ValueError, yaml.YAMLError):
            continue  # Hydra says so if it is asked for


def _join(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def _module(name: str) -> Any:
    if name.split(".")[0] not in ("psearch", "torch"):
        _look_here()
    return import_module(name)


def find_module(name: str) -> ModuleSpec | None:
    """Where a trusted module lies at the top of the path, the working directory included."""
    _look_here()
    return find_spec(name)


def _look_here() -> None:
    """`python -m` finds modules in the working directory; the program `psearch` does not, and should not
    before it is told to trust one."""
    if not sys.flags.safe_path and not {os.getcwd(), ""} & set(sys.path):
        sys.path.append(os.getcwd())


def _is_defined_in(found: Any, module: str | None) -> bool:
    return module is not None and f"{getattr(found, '__module__', None)}.".startswith(f"{module}.")


def _is_torchs(found: Any, home: str) -> bool:
    base = getattr(import_module(home), TORCH[home])
    return isinstance(found, type) and issubclass(found, base) and found.__module__.startswith("torch.")


def _refusal(target: Any) -> ValueError:
    return ValueError(
        f"_target_ {target} is refused: no file of conf/ or of a --config-dir names it, it is no layer, "
        "optimiser or schedule of torch, and extensions=[…] does not trust it (docs/extending.md)"
    )
