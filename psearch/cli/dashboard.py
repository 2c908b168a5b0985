"""Make the dashboard of a project on wandb: `python -m psearch.dashboard entity=NAME project=psearch`."""

from __future__ import annotations

from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from psearch.config.program import CONF, start


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="dashboard")
def main(cfg: DictConfig) -> None:
    """Saves it as a new view and prints its address; ValueError without a key or an answering server."""
    if missing := OmegaConf.missing_keys(cfg):
        raise ValueError(f"{min(missing)} has no value: add {min(missing)}=... to the command")
    try:
        from psearch.tracking.workspace import workspace
    except ImportError as error:
        raise ValueError(f"{error}: pip install -e '.[dashboard]', then run this again") from error
    from psearch.tracking.upload import check_server

    view: Any = workspace(**OmegaConf.to_container(cfg, resolve=True))  # type: ignore[arg-type]
    check_server()
    print(view.save().url)


def program() -> None:
    """The command, with its arguments in `sys.argv`."""
    start(main, "dashboard")


if __name__ == "__main__":
    program()
