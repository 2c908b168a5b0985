"""What this command line trusts, and what Hydra itself may be made to run.

Trusted are modules named in `extensions` and what the config files of its own directories (`--config-dir`,
`hydra.searchpath`) name. Both stand on the command line, or in a file of such a directory; what a file of
results holds (a checkpoint, a study, the ledger of submitted jobs) is never asked.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from psearch.build import CONF, Trust, nodes, target_of, targets_named

OUTPUTS = Path("outputs")

PLUGINS = ("hydra_plugins.", "hydra._internal.core_plugins.")
"""Where Hydra's launchers and sweepers are; it takes no others."""

LOGGING = frozenset(
    {
        "logging.Formatter",
        "logging.NullHandler",
        "logging.StreamHandler",
        "logging.FileHandler",
        "logging.handlers.RotatingFileHandler",
        "logging.handlers.TimedRotatingFileHandler",
    }
)
"""Classes that a logging config may name."""

STREAMS = ("ext://sys.stdout", "ext://sys.stderr")


def trust_of(cfg: DictConfig, hydra: Any = None) -> Trust:
    """The trust that a composed config states: its `extensions`, and what its own directories name.

    hydra: the `hydra` node of the config; by default that of the running job. ValueError for what is no
    module name, and for a directory of configs that holds results.
    """
    sources = (hydra or HydraConfig.get()).runtime.config_sources
    folders = [Path(source.path) for source in sources if source.schema == "file"]
    return trust_in(cfg.get("extensions") or (), [folder for folder in folders if folder.resolve() != CONF])


def trust_in(extensions: Any, folders: Sequence[Path]) -> Trust:
    """The trust in modules and in directories of config files."""
    if isinstance(extensions, str) or not all(re.fullmatch(r"\w+(\.\w+)*", str(name)) for name in extensions):
        raise ValueError(f"extensions={extensions!s}: write extensions=[mypackage], a list of modules")
    for folder in folders:
        if OUTPUTS.resolve().is_relative_to(folder.resolve()):
            raise ValueError(
                f"--config-dir {folder} holds {OUTPUTS}/, whose files are not to be trusted: "
                "give a folder with nothing but config files"
            )
    named = [targets_named(folder.resolve()) for folder in folders]
    return Trust(frozenset(map(str, extensions)), frozenset().union(*named))


def add_options(parser: argparse.ArgumentParser) -> None:
    """The same two statements for a command that composes no config."""
    parser.add_argument(
        "--extensions", default="", metavar="MODULE,…", help="modules the study was built with"
    )
    parser.add_argument("--config-dir", metavar="DIR", help="own config files it was built with")


def options_trust(chosen: argparse.Namespace) -> Trust:
    """What these options say."""
    modules = [name for name in chosen.extensions.split(",") if name]
    return trust_in(modules, [Path(chosen.config_dir)] if chosen.config_dir else [])


def check_hydra(hydra: DictConfig) -> None:
    """Refuse what Hydra would call besides its own launchers and sweepers: nodes in callbacks or within a
    launcher, factories in a logging config. ValueError with the key. Uses the trust that is set."""
    for part in map(str, hydra):
        for path, node in nodes(_plain(hydra, part), f"hydra.{part}"):
            plugin = path in ("hydra.launcher", "hydra.sweeper")
            if not (plugin and str(node["_target_"]).startswith(PLUGINS)):
                target_of(node, path)
    for part in ("hydra_logging", "job_logging"):
        _check_logging(_plain(hydra, part), f"hydra.{part}")


def _plain(hydra: DictConfig, part: str) -> Any:
    """A part of Hydra's node as plain data, resolved where that can be done."""
    try:
        node = hydra.get(part)
    except OmegaConfBaseException:
        return None  # text that refers to what is not there
    if not OmegaConf.is_config(node):
        return None
    try:
        return OmegaConf.to_container(node, resolve=True)
    except OmegaConfBaseException:
        return OmegaConf.to_container(node)


def _check_logging(node: Any, path: str) -> None:
    for name, key, value in _leaves(node, path):
        if key == "()":
            target_of({"_target_": value}, name)
        if key == "class" and value not in LOGGING:
            raise ValueError(f"{name}={value} is refused: choose from {', '.join(sorted(LOGGING))}")
        if str(value).startswith("ext://") and value not in STREAMS:
            raise ValueError(f"{name}={value} is refused: choose from {', '.join(STREAMS)}")


def _leaves(node: Any, path: str) -> Iterator[tuple[str, str, Any]]:
    """Dotted key, last key and value of all that is neither mapping nor list."""
    children = (
        enumerate(node) if isinstance(node, list) else node.items() if isinstance(node, Mapping) else ()
    )
    for key, value in children:
        if isinstance(value, Mapping | list):
            yield from _leaves(value, f"{path}.{key}")
        else:
            yield f"{path}.{key}", str(key), value


def check_kept(overrides: Sequence[str], said: Sequence[str], trust: Trust) -> None:
    """Refuse overrides that a file kept (the ledger of a study) and that would trust, run or ask for more
    than a choice and a value do, unless this command line says them too.

    said: overrides of this command line. trust: what it trusts. ValueError with the first such override.
    """
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        line = str(override.input_line)
        if line not in said and not _is_harmless(override, trust):
            raise ValueError(
                f"{line} stands in the study's jobs.jsonl, and a file is not trusted with it: say it on this "
                "command line (--extensions, --config-dir, hydra.launcher.…) or run the study's command again"
            )


def _is_harmless(override: Override, trust: Trust) -> bool:
    key, value = override.key_or_group, override.value()
    if key == "extensions":
        return isinstance(value, list) and set(map(str, value)) <= trust.modules
    if re.search(r"\$\{[^}]*:", str(override.input_line)):
        return False  # a resolver
    if key == "hydra.mode":  # which Hydra writes for -m
        return str(value) in ("RUN", "MULTIRUN")
    if key == "hydra/launcher":
        return bool(re.fullmatch(r"[\w-]+", str(value)))
    if key.partition(".")[0].partition("/")[0] == "hydra" or str(override.package).startswith("hydra"):
        return key in _launcher_keys() and not isinstance(value, list | dict)
    return True


def _launcher_keys() -> list[str]:
    """Settings of a SLURM job that are a number or a word; shell lines and lists of arguments are not."""
    node = OmegaConf.to_container(OmegaConf.load(CONF / "hydra/launcher/slurm.yaml"))
    assert isinstance(node, dict)
    return [f"hydra.launcher.{key!s}" for key, value in node.items() if not isinstance(value, list | dict)]
