"""From a plain config node to the object it names."""

from __future__ import annotations

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

TRUSTED = ("psearch.", "torch.optim.", "torch.nn.")


def build(node: Mapping[str, Any]) -> Any:
    """Call the `_target_` of a plain config node, or make the callable it asks for with `_partial_`: facts
    known only at run time are given to that.

    A checkpoint's config is input, not code: ValueError for a target that is neither psearch's nor one of
    torch's optimisers, schedules and layers. A mistake that the target itself reports as ValueError comes out
    as that.
    """
    _check(node)
    try:
        return instantiate(dict(node), _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, ValueError | OSError):
            raise cause from error
        raise ValueError(str(error)) from error


def _check(node: Any) -> None:
    if isinstance(node, Mapping):
        target = node.get("_target_")
        if target is not None and not _is_trusted(str(target)):
            raise ValueError(
                f"_target_ {target} is refused: only what is defined in {', '.join(TRUSTED)} is built from a "
                "config"
            )
        for value in node.values():
            _check(value)
    elif isinstance(node, list | tuple):
        for value in node:
            _check(value)


def _is_trusted(target: str) -> bool:
    """By its name and by where it was defined: `psearch.files.os.system` is not psearch's. A name
    that nothing has is left for hydra to complain about."""
    if not target.startswith(TRUSTED):
        return False
    try:
        found = resolve_name(target)
    except (ImportError, AttributeError, ValueError):
        return True
    return f"{getattr(found, '__module__', '')}.".startswith(TRUSTED)
