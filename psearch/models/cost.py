"""What a network costs where it is used: parameters, multiply-accumulates, latency."""

from __future__ import annotations

import io
import statistics
import time
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from psearch.models.network import Network
from psearch.types import Boxes, Propose


@torch.inference_mode()
def cost(
    network: Network, *, height: int, width: int, device: torch.device, repeats: int = 15
) -> dict[str, Any]:
    """Cost of one search of one scene of `height` x `width` input pixels: proposals, if it makes any, and its
    whole budget of described boxes, so that what a network has learnt does not change what it costs.

    parameters: numbers that are learnt. macs: multiply-accumulates of convolutions and matrix products
    (torch's flop counter, halved; suppression and RoIAlign are not counted). latency_ms: median of `repeats`
    after 5 of warm-up, with `threads`. file_bytes: size of the network's weights as a file.
    """
    network.eval()
    images = torch.zeros(1, 3, height, width, device=device).to(memory_format=torch.channels_last)
    boxes = torch.tensor([[0.0, 0.0, width, height]], device=device).expand(network.budget, 4)

    def pick(propose: Propose) -> Boxes:
        propose()
        return [boxes]

    def forward() -> None:
        network(images, pick)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    with FlopCounterMode(display=False) as counter:
        forward()
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    return {
        "parameters": sum(p.numel() for p in network.parameters()),
        "macs": counter.get_total_flops() // 2,
        "latency_ms": _median_ms(forward, repeats),
        "threads": torch.get_num_threads(),
        "device": device.type if device.type == "cpu" else torch.cuda.get_device_name(device),
        "input": [height, width],
        "file_bytes": file.tell(),
    }


def _median_ms(forward: Any, repeats: int) -> float:
    for _ in range(5):
        forward()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        forward()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)
