"""Evaluate a checkpoint, or anybody's detections: `python -m psearch.evaluate --help`."""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from psearch.command import start
from psearch.config import resolved
from psearch.errors import portable


@hydra.main(version_base="1.3", config_path="../conf", config_name="evaluate")
def main(cfg: DictConfig) -> float:
    """One evaluation: prints it, and returns search mAP (or the upper bound)."""
    from psearch.training.evaluate import evaluate  # loads torch, which completion and help do without

    with portable():
        return evaluate(resolved(cfg))


if __name__ == "__main__":
    start(main, "evaluate")
