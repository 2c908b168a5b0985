"""Evaluate a checkpoint, or anybody's detections: `python -m psearch.evaluate --help`."""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from psearch.build import trusting
from psearch.config.compose import resolved
from psearch.config.errors import portable
from psearch.config.program import CONF, start
from psearch.config.trust import trust_of


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="evaluate")
def main(cfg: DictConfig) -> float:
    """One evaluation: prints it, and returns search mAP (or the upper bound)."""
    from psearch.runs.config import EvaluateConfig
    from psearch.studies.evaluate import evaluate  # loads torch, which completion and help do without

    with portable(), trusting(trust_of(cfg)):
        return evaluate(EvaluateConfig.parse(resolved(cfg)))


def program() -> None:
    """The command, with its arguments in `sys.argv`."""
    start(main, "evaluate")


if __name__ == "__main__":
    program()
