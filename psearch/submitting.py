"""A sweep handed to SLURM: from Hydra's config to the cluster, for the first time and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from psearch.command import CONF
from psearch.plan import Plan, make_plan

CONFIG = "train"


def submit_plan(plan: Plan, launcher: Mapping[str, Any], hydra: Sequence[str]) -> str:
    """Submit a plan; answers what was submitted and what to do next."""
    from psearch.cluster.submission import submit

    entries = submit(plan, launcher, hydra)
    if not entries:
        return "nothing to submit: everything is done, waiting or running"
    lines = [f"{entry.job:12} {entry.name}" for entry in entries]
    lines += [f"python -m psearch.status {study}" for study in plan.studies]
    return "\n".join([*lines, "This shell may be closed."])


def resubmit(study: str, settings: Sequence[str] = ()) -> str:
    """Submit again what the ledger of a study knows and is neither done nor under way.

    settings: overrides of `hydra.launcher`. Raises ValueError if nothing was submitted before.
    """
    from psearch.cluster.ledger import COMPARISON, OUTPUTS, Ledger

    latest = Ledger(OUTPUTS / study).latest()
    entries = [entry for name, entry in latest.items() if name != COMPARISON]
    if not entries:
        raise ValueError(f"no jobs were submitted for outputs/{study}: run its command again instead")
    if stray := [text for text in settings if not text.lstrip("+").startswith("hydra.launcher.")]:
        raise ValueError(f"{stray[0]}: only hydra.launcher.KEY=VALUE may change, or it would be another run")
    hydra = [*entries[-1].hydra, *settings]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        plan = make_plan(CONFIG, hydra, [entry.overrides for entry in entries])
        composed = compose(CONFIG, [*hydra, *entries[-1].overrides], return_hydra_config=True)
    return submit_plan(plan, plain_launcher(composed.hydra), hydra)


def plain_launcher(hydra: Any) -> dict[str, Any]:
    """The node `hydra.launcher` as a plain dict."""
    node = OmegaConf.to_container(OmegaConf.masked_copy(hydra, ["launcher"]), resolve=False)
    assert isinstance(node, dict)
    return dict(node["launcher"])
