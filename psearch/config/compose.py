"""From a composed Hydra config to plain values: past this file a config is a dict."""

from __future__ import annotations

from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, MissingMandatoryValue

from psearch.identity import AXES, decides
from psearch.runs.provenance import checkpoint_digest

PARTS = (*AXES, "data")
"""The groups that name a variant, and its data."""


def resolved(cfg: DictConfig) -> dict[str, Any]:
    """The config as a plain dict, every interpolation resolved.

    A teacher that no term asks for is left out: such a run is the student alone, whichever teacher was
    named, and has one name and one directory. So is `extensions`: no file that keeps the config says what is
    trusted (`trust_of` does, of this command line).

    Raises ValueError naming the key that has no value yet.
    """
    try:
        config = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise ValueError(f"{error.full_key} has no value: add {error.full_key}=... to the command") from None
    except InterpolationKeyError as error:
        raise ValueError(f"{error.full_key}: {error.msg}") from None
    assert isinstance(config, dict)
    if "student" in config:
        config["student"] = _started(config["student"])
    if "teacher" in config:
        config["teacher"] = _teachers(config) if taught(config) else {}
    if "study" in config:
        config["study"] = str(config["study"])  # `study=2026` is a name
    return {str(key): value for key, value in config.items() if key != "extensions"}


def variant(cfg: DictConfig, hydra: Any = None) -> dict[str, Any]:
    """What distinguishes this run in a table: the choice made in each group, the seed, other overrides.

    hydra: the `hydra` node of a composed config; by default that of the running job.
    """
    hydra = hydra or HydraConfig.get()
    chosen: dict[str, Any] = {group: _choice(group, hydra) for group in PARTS}
    if not taught(cfg):
        chosen["teacher"] = "none"
    chosen["seed"] = cfg.seed
    chosen["overrides"] = [text for text in hydra.overrides.task if _decides(text, taught(cfg))]
    return chosen


def _teachers(config: dict[Any, Any]) -> dict[str, Any]:
    """Name -> recipe; `teacher.checkpoint=` is short for that key of the only teacher."""
    recipes = {str(name): node for name, node in config["teacher"].items() if name != "checkpoint"}
    given = config["teacher"].get("checkpoint")
    if given is not None:
        if len(recipes) != 1:
            keys = " or ".join(f"teacher.{name}.checkpoint" for name in recipes)
            keys = keys or "also teacher=reid (or oim, …)"
            raise ValueError(f"teacher.checkpoint={given}: of {len(recipes)} teachers; set {keys}")
        [only] = recipes
        recipes[only] = {**recipes[only], "checkpoint": given}
    return {name: _known_weights(recipe) for name, recipe in recipes.items()}


def _known_weights(recipe: Any) -> Any:
    """A teacher's recipe that says by its content what file it is, or what its training starts from."""
    if not (isinstance(recipe, dict) and isinstance(recipe.get("student"), dict)):
        return recipe
    if given := recipe.get("checkpoint"):
        return {**recipe, "fingerprint": checkpoint_digest(given)}
    return {**recipe, "student": _started(recipe["student"])}


def _started(student: Any) -> Any:
    """The node of a student with `start: FILE` as `start: {checkpoint, fingerprint}`: the same weights
    elsewhere are the same run, others under the same name another. ValueError if there is no such file."""
    start = student.get("start") if isinstance(student, dict) else None
    if not isinstance(start, str):
        return student
    try:
        return {**student, "start": {"checkpoint": start, "fingerprint": checkpoint_digest(start)}}
    except ValueError as error:
        raise ValueError(f"student.start={start}: {error}") from error


def taught(config: Any) -> bool:
    """Whether this run has a use for its teacher: some term asks for it, or it is trained for later."""
    return bool(config["distill"]) or config["stage"] == "teacher"


def _choice(group: str, hydra: Any) -> str:
    """The file chosen in a group, `a+b` for a list of files (Hydra keeps no choice for a list)."""
    choice = hydra.runtime.choices.get(group)
    return choice if choice is not None else "+".join(_files(group, hydra)) or "none"


def _files(group: str, hydra: Any) -> list[str]:
    loader = GlobalHydra.instance().config_loader()
    overrides = [*hydra.overrides.hydra, *hydra.overrides.task]
    tree = loader.compute_defaults_list(hydra.job.config_name, overrides, RunMode.RUN)
    chosen = [d.config_path for d in tree.defaults if d.parent == hydra.job.config_name and d.config_path]
    return [path.removeprefix(f"{group}/") for path in chosen if path.startswith(f"{group}/")]


def _decides(override: str, taught: bool) -> bool:
    """Whether an override decides something about the run that no other entry of `variant` tells."""
    key = override.lstrip("+~").partition("=")[0]
    group, _, package = key.partition("@")
    of_teacher = (package or key).startswith("teacher.")
    return key not in (*PARTS, "seed") and decides(package or group) and (taught or not of_teacher)
