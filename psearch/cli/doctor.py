"""Look a data set over before a GPU is held: `python -m psearch.doctor data=prw data.root=FOLDER`."""

from __future__ import annotations

import os
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from psearch.build import build, trusting
from psearch.config.compose import resolved
from psearch.config.program import CONF, start
from psearch.config.trust import trust_of


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="doctor")
def main(cfg: DictConfig) -> None:
    """Prints the examination; ValueError if there are problems, or if a key has no value."""
    if missing := OmegaConf.missing_keys(cfg):
        raise ValueError(f"{min(missing)} has no value: add {min(missing)}=... to the command")
    from psearch.data.doctor import (
        examine,  # loads torch, which completion and help do without
        picture_sheet,
    )

    if "cache" in cfg.data:
        cfg.data.cache = None  # the original files are what is examined
    with trusting(trust_of(cfg)):
        read = build({**resolved(cfg)["data"], "_partial_": True})
    examination = examine(read, decode=cfg.decode, published=cfg.published)
    print(examination)
    if benchmark := examination.benchmark:
        sheet = Path(cfg.sheet) / f"{benchmark.name}-{benchmark.fingerprint}.png"
        try:
            picture_sheet(benchmark, sheet)
            print(f"pictures with their boxes: {os.path.relpath(sheet)}")
        except ValueError as error:
            examination.findings.problems.append(str(error))
    if problems := examination.findings.problems:
        raise ValueError(f"{len(problems)} problems in the data set, listed above: mend them first")


def program() -> None:
    """The command, with its arguments in `sys.argv`."""
    start(main, "doctor")


if __name__ == "__main__":
    program()
