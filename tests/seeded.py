"""Weights, pictures and people made from seeds alone, so that two programs can be compared by numbers."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

SHAPES = ((96, 160), (128, 96), (100, 170))
"""Height and width of the pictures; the last is no multiple of a stride."""

PROPOSALS, SAMPLED = 40, 24
"""Proposals kept, and boxes sampled per picture in training: few, so that a processor has done in seconds."""

RESCALER = {"running_mean": 104.0, "running_var": 256.0}
"""About what the length of an embedding of such weights is, so that scores are spread over 0…1."""


def state(shapes: Iterable[tuple[str, tuple[int, ...]]], *, seed: int) -> dict[str, Tensor]:
    """Name -> tensor of that shape, drawn from the name and the seed, whatever the order: a network in which
    no layer dies or blows up."""
    return {name: _tensor(name, shape, seed) for name, shape in shapes}


def _tensor(name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed + zlib.crc32(name.encode())))
    last = name.rpartition(".")[2]
    if last == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.long)
    if name.endswith("cls_score.bias"):
        return torch.tensor([0.0, 0.8])
    if ".rescaler." in name and last in RESCALER:
        return torch.full(shape, RESCALER[last])
    if last in ("lut", "cq"):
        return torch.nn.functional.normalize(noise, dim=1)
    if last == "running_var":
        return 1 + 0.1 * noise.abs()
    if last in ("running_mean", "bias"):
        return 0.1 * noise
    if len(shape) == 1:
        return (0.3 if ".bn3." in name else 1.0) + 0.05 * noise
    gain = (
        0.1 if name.startswith("rpn.") or "cls_score" in name or "predictor.bbox_pred.weight" in name else 1.0
    )
    return noise * gain * math.sqrt(2 / math.prod(shape[1:]))


def picture(index: int, *, seed: int) -> Tensor:
    """(3, h, w), as normalised: coarse patches and fine noise."""
    generator = torch.Generator().manual_seed(1000 * seed + index)
    height, width = SHAPES[index]
    coarse = torch.randn(1, 3, height // 16 + 1, width // 16 + 1, generator=generator)
    large = torch.nn.functional.interpolate(coarse, scale_factor=16.0, mode="nearest")[0, :, :height, :width]
    return large + 0.3 * torch.randn(3, height, width, generator=generator)


def people(index: int, *, seed: int, count: int = 4) -> Tensor:
    """Boxes (count, 4) in that picture, xyxy."""
    generator = torch.Generator().manual_seed(1000 * seed + index + 500)
    height, width = SHAPES[index]
    size = torch.rand(count, 2, generator=generator) * torch.tensor([30.0, 40.0]) + torch.tensor([24.0, 50.0])
    corner = torch.rand(count, 2, generator=generator) * (torch.tensor([width, height]) - size).clamp(min=1)
    return torch.cat([corner, corner + size], dim=1)


def names(index: int, *, seed: int, identities: int, count: int = 4) -> Tensor:
    """Identities (count,) of these people, the third one without: -1."""
    generator = torch.Generator().manual_seed(1000 * seed + index + 700)
    ids = torch.randint(0, identities, (count,), generator=generator)
    ids[2::3] = -1
    return ids


def digest(rows: Tensor) -> list[float]:
    """Five numbers that stand for a tensor: its size, sum, sum of squares, and two projections on noise."""
    flat = rows.detach().double().flatten()
    noise = torch.randn(2, len(flat), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return [float(len(flat)), *(float(x) for x in (flat.sum(), flat.square().sum(), *(noise @ flat)))]


def digests(values: Mapping[str, Tensor]) -> dict[str, list[float]]:
    """`digest` of each."""
    return {name: digest(rows) for name, rows in values.items()}
