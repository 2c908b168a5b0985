"""torchvision's classifiers as material for backbones."""

from __future__ import annotations

import torch
from torch import nn
from torchvision.models import get_model, get_model_weights
from torchvision.ops import FrozenBatchNorm2d


def classifier(name: str, *, pretrained: bool, frozen_norm: bool) -> nn.Module:
    """A classifier of torchvision, by its name there.

    pretrained: ImageNet weights. frozen_norm: BatchNorm keeps its ImageNet statistics, as the published
    recipes do. Raises ValueError for weights that cannot be had, and for a norm that is frozen before it
    learnt.
    """
    if frozen_norm and not pretrained:
        raise ValueError("frozen_norm=true needs pretrained=true: an untrained norm must learn")
    network: nn.Module = _pretrained(name) if pretrained else get_model(name)
    return _frozen(network) if frozen_norm else network


def _pretrained(name: str) -> nn.Module:
    try:
        network: nn.Module = get_model(name, weights=get_model_weights(name).DEFAULT)
        return network
    except OSError as error:
        raise ValueError(
            f"ImageNet weights of {name} cannot be downloaded ({error}); put the file torchvision names into "
            f"{torch.hub.get_dir()}/checkpoints, or train from scratch with "
            "compression.backbone.pretrained=false"
        ) from error


def _frozen(module: nn.Module) -> nn.Module:
    """Replace every BatchNorm by torchvision's FrozenBatchNorm2d with the same numbers."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            fixed = FrozenBatchNorm2d(child.num_features, eps=child.eps)
            fixed.load_state_dict(child.state_dict(), strict=False)
            setattr(module, name, fixed)
        else:
            _frozen(child)
    return module
