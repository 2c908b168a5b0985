"""A study small enough for tests: the real commands on a dozen scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra import initialize_config_dir

from psearch.config.compose import resolved, variant
from psearch.config.overrides import check
from psearch.runs.config import RunConfig

CONF = Path(__file__).resolve().parents[1] / "conf"
TINY = (
    "data.height=64",
    "data.width=96",
    "data.train_scenes=12",
    "data.val_scenes=6",
    "data.test_scenes=8",
    "data.train_identities=6",
    "data.val_identities=4",
    "data.test_identities=4",
    "data.queries=4",
    "data.gallery_size=-1",
    "data.workers=1",
    "trainer.epochs=2",
    "trainer.batch_size=4",
    "logger=jsonl",
    "device=cpu",
)


def teachers(*names: str) -> tuple[str, ...]:
    """Overrides that choose teachers and make their training short."""
    sizes = [f"teacher.{name}.trainer.{key}" for name in names for key in ("epochs=1", "batch_size=8")]
    return (f"teacher=[{','.join(names)}]" if len(names) > 1 else f"teacher={names[0]}", *sizes)


def composed(*overrides: str, fresh: bool = False) -> tuple[RunConfig, dict[str, Any]]:
    """The config and the variant of a run, as the entry point hands them on. fresh: without what makes the
    synthetic data small."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg, hydra = check("train", [*(() if fresh else TINY), *overrides])
        return RunConfig.parse(resolved(cfg)), variant(cfg, hydra)
