"""Train one student, alone or taught, or with -m a whole study: `python -m psearch.train --help`."""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from psearch.build import trusting
from psearch.config.compose import resolved, variant
from psearch.config.errors import portable
from psearch.config.program import CONF, start
from psearch.config.trust import trust_of


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def main(cfg: DictConfig) -> float | None:
    """One job: what is left of the config here is a plain dict."""
    from psearch.runs.config import RunConfig
    from psearch.studies.train import run  # loads torch, which completion and help do without

    with portable(), trusting(trust_of(cfg)):
        return run(RunConfig.parse(resolved(cfg)), variant(cfg))


def program() -> None:
    """The command, with its arguments in `sys.argv`."""
    start(main, "train")


if __name__ == "__main__":
    program()
