"""Hydra takes sweepers only from this namespace, and imports it on every start: the work is elsewhere."""

from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser


class StudySweeper(BasicSweeper):
    """Grid sweep over comma lists and `hydra.sweeper.params`, run as one study (`psearch.launch.sweep`).

    preview: only tell what would be launched.
    """

    def __init__(self, params: dict[str, str] | None = None, preview: bool = False) -> None:
        super().__init__(max_batch_size=None, params=params)
        self.preview = preview

    def sweep(self, arguments: list[str]) -> Any:
        """Run all points of the grid, or hand them to SLURM; raises ValueError if one failed."""
        from psearch.launch.sweep import sweep

        assert self.hydra_context is not None and self.config is not None and self.launcher is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        [points] = self.split_arguments(overrides, None)
        Path(self.config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
        sweep(self.launcher, self.config.hydra, points, preview=self.preview)
