"""From pictures in original pixels to the padded tensor a network sees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor

from psearch.types import Batch, Scene

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Channel mean and standard deviation of ImageNet, for pixels in 0..1; one constant for all networks."""

MULTIPLE = 16
"""Height and width of a batch are multiples of this, the largest stride of a C4 trunk."""


def normalisation() -> tuple[Tensor, Tensor]:
    """Gain (3,) and offset (3,) with `pixels * gain + offset` normalised, for uint8 pixels 0..255."""
    std = torch.tensor(STD)
    return 1 / (255 * std), -torch.tensor(MEAN) / std


def pair(sides: Sequence[int] | None) -> tuple[int, int] | None:
    """(shorter, longer) side as written in a config file; ValueError if it is not such a pair."""
    if sides is None:
        return None
    if len(sides) != 2 or not 0 < sides[0] <= sides[1]:
        raise ValueError(f"sides is {list(sides)}: write the shorter and the longer one, e.g. [600, 1000].")
    return int(sides[0]), int(sides[1])


def resize_scale(height: int, width: int, sides: tuple[int, int] | None, factor: float = 1.0) -> float:
    """Scale at which the shorter side is `sides[0]`, or less where the longer would pass `sides[1]`.

    `factor` multiplies both sides (multi-scale training); `sides` None stands for the picture's own.
    Source: the resize of Faster R-CNN (Ren et al. 2015) as person search uses it, e.g. 900x1500.
    """
    if sides is None:
        return factor
    return factor * min(sides[0] / min(height, width), sides[1] / max(height, width))


def resize(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """An (h, w, 3) uint8 picture at another size, bilinear with antialiasing; itself if nothing changes."""
    if picture.shape[:2] == (height, width):
        return picture
    resized = Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def collate(
    pictures: Sequence[np.ndarray],
    scenes: Sequence[Scene],
    indices: Sequence[int],
    scales: Sequence[float],
    flips: Sequence[bool],
    least: tuple[int, int] = (0, 0),
) -> Batch:
    """Resized pictures and their scenes as one `Batch`, mirrored where `flips` says so.

    pictures: (h, w, 3) uint8, already resized by `scales`. least: height and width to pad to at least. The
    images lie in channels_last memory, which convolutions on CPUs and tensor cores prefer and which saves a
    transposition here.
    """
    targets = [
        _targets(*each) for each in zip(scenes, scales, flips, (p.shape[1] for p in pictures), strict=True)
    ]
    return Batch(
        images=_stack(pictures, flips, least),
        sizes=torch.tensor([picture.shape[:2] for picture in pictures]),
        scales=torch.tensor(scales, dtype=torch.float32),
        boxes=[boxes for boxes, _, _ in targets],
        ids=[ids for _, ids, _ in targets],
        ignore=[ignore for _, _, ignore in targets],
        scenes=list(indices),
    )


def _targets(scene: Scene, scale: float, flip: bool, width: int) -> tuple[Tensor, Tensor, Tensor]:
    boxes = scene.boxes.reshape(-1, 4) * np.float32(scale)
    if flip:
        boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
    return (
        torch.from_numpy(boxes),
        torch.from_numpy(scene.ids.astype(np.int64)),
        torch.from_numpy(scene.ignore.astype(bool)),
    )


def _stack(pictures: Sequence[np.ndarray], flips: Sequence[bool], least: tuple[int, int]) -> Tensor:
    """Normalised and zero-padded (b, 3, h, w)."""
    gain, offset = normalisation()
    height, width = (
        -(-max(least[side], *(picture.shape[side] for picture in pictures)) // MULTIPLE) * MULTIPLE
        for side in (0, 1)
    )
    images = torch.zeros(len(pictures), height, width * 3)
    for image, picture, flip in zip(images, pictures, flips, strict=True):
        h, w = picture.shape[:2]
        pixels = torch.from_numpy(picture.copy())  # a cached picture may be read-only, which torch dislikes
        if flip:
            pixels = pixels.flip(1)
        # Whole rows at once: a last dimension of 3 would keep the processor from vectorising.
        image[:h, : w * 3].copy_(pixels.view(h, w * 3)).mul_(gain.repeat(w)).add_(offset.repeat(w))
    return rearrange(images, "b h (w c) -> b c h w", c=3)
