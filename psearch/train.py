"""Train one student, alone or taught, or with -m a whole study: `python -m psearch.train --help`."""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from psearch.command import start
from psearch.config import resolved, variant
from psearch.errors import portable


@hydra.main(version_base="1.3", config_path="../conf", config_name="train")
def main(cfg: DictConfig) -> float | None:
    """One job: what is left of the config here is a plain dict."""
    from psearch.training.study import run  # loads torch, which completion and help do without

    with portable():
        return run(resolved(cfg), variant(cfg))


if __name__ == "__main__":
    start(main, "train")
