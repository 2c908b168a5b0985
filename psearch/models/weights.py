"""Weights from a file: read without running anything, and fitted into a network with nothing left unsaid."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)

WORDS = ("none", "imagenet_v1", "imagenet_v2", "timm", "package")
"""What `weights=` may say instead of a file's path."""

Source = str | Mapping[str, str] | None
"""Where weights come from: nowhere, one of `WORDS`, or a file (its path, or {checkpoint, fingerprint})."""

WRAPPERS = ("network", "state_dict", "model_state_dict", "model", "net")
"""Keys under which files keep a state dict beside other things; psearch's own comes first."""

PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF")
SHOWN = 10


def file_of(source: Source) -> Path | None:
    """The file that a source names, if it names one."""
    if isinstance(source, Mapping):
        return Path(source["checkpoint"])
    return None if source is None or source in WORDS else Path(source)


@dataclass(frozen=True, eq=False)
class Weights:
    """Tensors by name, as a file has them. ours: the network of a psearch checkpoint."""

    tensors: dict[str, Tensor]
    ours: bool = False


def read(path: Path, what: str) -> Weights:
    """The tensors of a file of weights, on the CPU: a state dict, bare or beside other things (`WRAPPERS`),
    saved by torch or as safetensors; the `module.` of DataParallel is taken off.

    what: how messages call it, as in "start=FILE". Nothing in the file is run (`weights_only=True`).
    ValueError for a file that is missing, damaged, no weights, or would have to be run, and for NaN.
    """
    content = _content(path, what)
    key = next((key for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
    state = content if key is None else content[key]
    tensors = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(
            f"{what}: the file holds no weights; it has {', '.join(_first(content)) or 'nothing'}"
        )
    bad = [name for name, value in tensors.items() if not value.isfinite().all()]
    if bad:
        raise ValueError(f"{what}: {len(bad)} tensors hold NaN or infinite values ({', '.join(_first(bad))})")
    ours = key == "network" and "config" in content
    return Weights(tensors if ours else _unwrapped(tensors), ours)


def _content(path: Path, what: str) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise ValueError(f"{what} cannot be read ({error.strerror}): check the path") from None
    if start.startswith(PICTURES):
        raise ValueError(f"{what}: the file is a picture, not weights")
    try:
        content = _safetensors(path) if path.suffix == ".safetensors" else _torch(path)
    except ModuleNotFoundError as error:
        raise ValueError(f"{what} needs the package {error.name}: make setup installs it") from None
    except Exception as error:  # a damaged file surfaces as nearly anything
        raise ValueError(f"{what}: {_reason(error)}") from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{what}: the file holds a {type(content).__name__}, not a state dict")
    return content


def _torch(path: Path) -> Any:
    with warnings.catch_warnings():  # what is refused is told by `_reason`
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=True)


def _safetensors(path: Path) -> Any:
    from safetensors.torch import load_file

    return load_file(path)


def _reason(error: Exception) -> str:
    """Why a file cannot be read; never with torch's advice to switch the protection off."""
    text = str(error)
    if found := re.search(r"Unsupported (?:global: GLOBAL|class|operand) (\S+)", text) or re.search(
        r"GLOBAL (\S+) was not an allowed global", text
    ):
        return (
            f"the file holds Python objects ({found[1]}) that reading would run; it is refused. Save the "
            "tensors alone: torch.save(network.state_dict(), FILE)"
        )
    if "TorchScript" in text:
        return "the file is a TorchScript program, which reading would run; save its state_dict() instead"
    first = (text.strip() or type(error).__name__).splitlines()[0].split(". ")[0]
    if "weights_only" in first:
        first = "not written by torch.save"
    return f"the file is damaged, cut off or no weights ({first[:120]})"


def _unwrapped(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in ("module.", "_orig_mod."):
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors


def fit(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    what: str,
    spare: Collection[str] = (),
    fresh: Collection[str] = (),
) -> None:
    """Give a module the tensors of its names, all of them; nothing is changed if they do not fit.

    spare: names in a file that the module does without (a classifier). fresh: the module's own that may keep
    their random start. Counters of batches (`num_batches_tracked`) may be either. Logs how many were used,
    left over and missing. ValueError with the first ten names where some are missing, unknown or of another
    shape.
    """
    own = module.state_dict()
    counted = {name for name in {*own, *tensors} if name.endswith("num_batches_tracked")}
    missing = [name for name in own if not (name in tensors or name in counted or name in fresh)]
    unknown = [n for n in tensors if n not in own and n not in counted and n not in spare]
    shapes = [
        f"{name} {tuple(tensors[name].shape)}, not {tuple(value.shape)}"
        for name, value in own.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    kinds = {"missing": missing, "unknown here": unknown, "of another shape": shapes}
    if told := [
        f"{len(names)} {kind} ({', '.join(_first(names))})" for kind, names in kinds.items() if names
    ]:
        raise ValueError(f"{what} does not fit {len(own)} tensors of the network: {'; '.join(told)}")
    used = [name for name in own if name in tensors]
    module.load_state_dict({**own, **{name: tensors[name] for name in used}})
    rest = [name for name in tensors if not (name in own or name in counted)]
    new = [name for name in own if name not in tensors and name not in counted]
    log.info("%s: %d tensors used, %s left over, %s missing", what, len(used), _count(rest), _count(new))


def _count(names: Collection[str]) -> str:
    return f"{len(names)} ({', '.join(_first(names))})" if names else "none"


def _first(names: Iterable[str]) -> list[str]:
    shown = [str(name) for name in names]
    return [*shown[:SHOWN], *(["…"] if len(shown) > SHOWN else [])]
