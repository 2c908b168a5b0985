"""Box arithmetic that several rooms share."""

from __future__ import annotations

import torch

from psearch.boxes import best_of_each, match


def some(count: int) -> torch.Tensor:
    corner = torch.rand(count, 2) * 40
    return torch.cat([corner, corner + 2 + torch.rand(count, 2) * 30], dim=1)


def test_all_images_in_one_go_equal_image_by_image() -> None:
    torch.manual_seed(0)
    boxes = torch.stack([some(50) for _ in range(4)])
    targets = [some(3), some(0), some(1), some(5)]
    ignore = [torch.zeros(len(own), dtype=torch.bool) for own in targets]
    ignore[3][:2] = True
    best, overlap = best_of_each(boxes, targets, ignore)
    for image in range(4):
        found = match(boxes[image], targets[image], ignore[image])
        torch.testing.assert_close(overlap[image], found.iou)
        hit = found.iou > 0
        assert hit.any() or not len(targets[image])
        assert torch.equal(best[image, hit], targets[image][found.target[hit]])


def test_images_without_a_single_target_overlap_nothing() -> None:
    best, overlap = best_of_each(some(6)[None], [some(0)], [torch.zeros(0, dtype=torch.bool)])
    assert best.shape == (1, 6, 4) and torch.equal(overlap, torch.zeros(1, 6))
