"""What may be written on the command line, and what to write instead.

Hydra itself accepts `+student.netwrok=1` in silence and answers a misspelt key with advice to add a '+'.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, get_args, get_origin

from hydra import compose
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from psearch.build import trusting
from psearch.config.signatures import check_targets, hint, parameters
from psearch.config.trust import check_hydra, trust_of
from psearch.runs.places import outputs, run_directory

NAMED_NODES = ("distill",)
"""Keys whose children are all built, whatever their names: one may be added on the command line."""


def check(config_name: str, overrides: list[str]) -> tuple[DictConfig, DictConfig]:
    """Compose one job and refuse what no part of it understands; Hydra must be initialised.

    Returns the config and Hydra's own node. Raises ValueError, one line that says what to write.
    """
    loader = loader_with(overrides)
    groups = dict(_groups(loader))
    parsed = OverridesParser.create(loader).parse_overrides(overrides)
    values = [o for o in parsed if not o.is_hydra_override() and not _chooses(o, groups)]
    written = {override.input_line for override in values if override.key_or_group != "extensions"}
    schema, settings = _composed(config_name, [text for text in overrides if text not in written])
    with trusting(trust_of(schema, settings)):
        for override in values:
            _check_key(override, dict(_keys(_plain(schema))), groups)
        cfg, settings = _composed(config_name, overrides)
        check_targets(_plain(cfg))
        check_hydra(settings)
    _check_words(_plain(cfg))
    _check_places(cfg)
    return cfg, settings


def loader_with(overrides: Sequence[str]) -> ConfigLoader:
    """Hydra's loader with the directories of `hydra.searchpath=…`: it composes from them, and does not know
    their groups."""
    loader = GlobalHydra.instance().config_loader()
    path = deepcopy(loader.get_search_path())
    for folder in searchpath(overrides):
        path.append("hydra.searchpath in command-line", folder)
    return ConfigLoaderImpl(path)


def searchpath(overrides: Sequence[str]) -> list[str]:
    """What `hydra.searchpath=[…]` among overrides says."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    values = (o.value() for o in parsed if o.key_or_group == "hydra.searchpath")
    return [str(folder) for value in values for folder in (value if isinstance(value, list) else [value])]


def own_folders(config_dir: str | None, overrides: Sequence[str] = ()) -> list[str]:
    """Directories of config files beside the program's own, as Hydra writes them: of `--config-dir` and of
    `hydra.searchpath`. ValueError if there is no such directory."""
    folders = [f"file://{os.path.abspath(config_dir)}"] if config_dir else []
    folders += searchpath(overrides)
    for folder in folders:
        path = folder.removeprefix("file://")
        if "://" not in path and not os.path.isdir(path):
            raise ValueError(f"there is no directory {path} to take config files from")
    return folders


def searching(folders: Sequence[str]) -> list[str]:
    """The override that makes Hydra compose from further directories; none without any."""
    quoted = (folder.replace("\\", "\\\\").replace("'", "\\'") for folder in folders)
    words = ",".join(f"'{folder}'" for folder in quoted)
    return [f"hydra.searchpath=[{words}]"] if words else []


def _composed(config_name: str, overrides: list[str]) -> tuple[DictConfig, DictConfig]:
    """A job's config, and Hydra's own node."""
    composed = compose(config_name, overrides, return_hydra_config=True)
    return OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"]), composed.hydra


def _plain(cfg: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(cfg)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _groups(loader: ConfigLoader, parent: str = "") -> Iterator[tuple[str, list[str]]]:
    """Every group of ours with its choices; a file that begins with `_` is only what others are made from."""
    for name in loader.list_groups(parent):
        group = f"{parent}/{name}" if parent else name
        if group != "hydra":
            yield group, [name for name in loader.get_group_options(group) if not name.startswith("_")]
            yield from _groups(loader, group)


def _keys(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every dotted key of a config with its value."""
    for key, value in node.items() if isinstance(node, dict) else ():
        name = f"{path}.{key}" if path else key
        yield name, value
        yield from _keys(value, name)


def _chooses(override: Override, groups: dict[str, list[str]]) -> bool:
    """Whether an override chooses from a group; ValueError if there is no such choice."""
    options, value = groups.get(override.key_or_group), override.value()
    if options is None or isinstance(value, dict):
        return False
    for choice in value if isinstance(value, list) else [value]:
        if choice is None and "none" in options:
            raise ValueError(f"{override.input_line}: write {override.key_or_group}=none")
        if choice is not None and str(choice) not in options and not override.is_delete():
            raise ValueError(
                f"{override.input_line}: no such choice{hint(str(choice), options)} ({', '.join(options)})"
            )
    return True


def _check_key(override: Override, keys: dict[str, Any], groups: dict[str, list[str]]) -> None:
    key, line = override.key_or_group, override.input_line
    if key in keys:
        if override.is_add() and not isinstance(override.value(), dict | list):
            raise ValueError(f"{line}: {key} is there already; write it without the '+'")
        if not override.is_delete() and not _takes_mapping(key, keys, override.value()):
            _check_kind(override, keys[key])
        return
    group = key.partition(".")[0]
    if group in groups and group not in keys:
        raise ValueError(f"{line}: no {group} is chosen; add {group}=... ({', '.join(groups[group])})")
    parent, _, name = key.rpartition(".")
    value = override.value()
    if parent in NAMED_NODES and override.is_add() and isinstance(value, dict) and "_target_" in value:
        return
    unset = _unset(keys.get(parent), parent)
    if name not in unset:
        near = {*keys, *groups, *(f"{parent}.{other}" for other in unset)}
        raise ValueError(f"{line}: there is no key '{key}'{hint(key, near)}")
    if not (override.is_add() or override.is_force_add()):
        raise ValueError(f"{line}: no config file sets {key} yet; write +{line}")


def _unset(node: Any, path: str) -> set[str]:
    """Parameters of a node's target that the node leaves at their default."""
    if not isinstance(node, dict):
        return set()
    return set(parameters(node, path) or ()) - set(node)


def _takes_mapping(key: str, keys: dict[str, Any], value: Any) -> bool:
    """Whether a mapping is given where the target says that it takes one beside a number: a schedule."""
    parent, _, name = key.rpartition(".")
    node = keys.get(parent)
    annotation = (parameters(node, parent) or {}).get(name) if isinstance(node, dict) else None
    return isinstance(value, dict) and any(get_origin(kind) is Mapping for kind in get_args(annotation))


def _check_kind(override: Override, old: Any) -> None:
    """A switch stays a switch and a number a number, also where no signature says so."""
    new, example = override.value(), f"{override.key_or_group}={old}"
    if isinstance(old, bool) and not isinstance(new, bool):
        raise ValueError(f"{override.input_line}: true or false is expected")
    number = isinstance(old, int | float) and not isinstance(old, bool)
    if number and (isinstance(new, bool | list | dict) or (isinstance(new, str) and "${" not in new)):
        raise ValueError(f"{override.input_line}: a number is expected, as in {example}")


def _check_words(cfg: dict[str, Any]) -> None:
    """A study is a folder directly in outputs/, and none of those that psearch keeps there itself."""
    study, stage = str(cfg.get("study", "default")), cfg.get("stage", "all")
    if not re.fullmatch(r"\w[\w.-]*", study) or study in ("data", "teachers", "evaluate"):
        raise ValueError(
            f"study={study}: take letters, digits, '.', '_', '-' (not the names data, teachers, evaluate)"
        )
    if stage not in ("all", "teacher"):
        raise ValueError(f"stage={stage}: choose all or teacher")
    if cfg.get("rerun") not in (None, "stale"):
        raise ValueError(f"rerun={cfg['rerun']}: choose null or stale")


def _check_places(cfg: DictConfig) -> None:
    """Outputs have a name, and a run lies in them."""
    if "outputs" in cfg:
        run_directory(outputs(cfg.outputs), "study", "run", cfg.get("directory"))
