"""What every entry point does around Hydra: help, a check of the overrides, errors one can read."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from psearch.build import CONF as CONF
from psearch.config.errors import MISTAKES, ONE_LINE, message
from psearch.config.overrides import check, own_folders, searching
from psearch.engine.signals import Interruption

UNCHECKED = ("experimental_rerun", "config_path")
"""Options of Hydra that are refused: they run a pickled job, or configs in place of the program's own."""


def start(main: Callable[[], Any], config_name: str) -> None:
    """Run a `@hydra.main` function as a program.

    Exit status 0, or not 0 after one line `error: ...`. HYDRA_FULL_ERROR=1 shows the traceback instead.
    Ctrl-C, SIGTERM and SIGUSR2 end it in order: worker processes are stopped, a study is still compared.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch loads: idle threads do not spin
    os.umask(os.umask(0o002) | 0o002)  # whatever it is: nobody outside the group writes a run
    if "--dry-run" in sys.argv:
        sys.argv[sys.argv.index("--dry-run")] = "hydra.sweeper.preview=true"
        sys.argv.append("--multirun")
    args = get_args_parser().parse_intermixed_args()
    options = [word for word in sys.argv[1:] if word not in args.overrides]
    sys.argv[1:] = [*options, *args.overrides]  # Hydra wants all overrides side by side
    if args.help:
        with one_line():
            print(help_text(config_name, own_folders(args.config_dir, args.overrides)))
        return
    ONE_LINE.set(os.environ.get("HYDRA_FULL_ERROR") != "1")
    with one_line():
        refuse_ranks(args, config_name)
        check_command(args, config_name)
        with errors_handed_on(), Interruption():
            main()


@contextmanager
def one_line() -> Iterator[None]:
    """A mistake made in this block ends the program with one line; an interruption in order."""
    try:
        yield
    except MISTAKES as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        sys.exit(f"error: {message(error)}")
    except KeyboardInterrupt as error:
        print(error, file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 130))


@contextmanager
def errors_handed_on() -> Iterator[None]:
    """Hydra raises what it catches in this block, where it would print a stack of its own and exit."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        del os.environ["HYDRA_FULL_ERROR"]
        if before is not None:
            os.environ["HYDRA_FULL_ERROR"] = before


def refuse_ranks(args: Any, config_name: str) -> None:
    """Only a single training or evaluation is for several processes at once."""
    single = config_name in ("train", "evaluate") and not args.multirun
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and not single:
        what = "a sweep (-m)" if args.multirun else f"psearch.{config_name}"
        raise ValueError(
            f"torchrun started several processes of {what}: give it a single run of psearch.train or "
            "psearch.evaluate; a sweep of runs with several ranks each is for hydra/launcher=slurm "
            "hydra.launcher.tasks_per_node=…"
        )


def check_command(args: Any, config_name: str) -> None:
    """Check what stands on the command line; a sweep checks each of its jobs once they are known."""
    for option in UNCHECKED:
        if getattr(args, option):
            raise ValueError(f"--{option.replace('_', '-')} is not taken: add own configs with --config-dir")
    if args.hydra_help or args.shell_completion:
        return
    parsed = OverridesParser.create().parse_overrides(list(args.overrides))
    swept = [o for o in parsed if args.multirun and o.is_sweep_override()]
    if any(o.key_or_group == "extensions" for o in swept):
        raise ValueError("extensions=… is no choice to sweep over: write extensions=[a,b]")
    kept = [str(o.input_line) for o in parsed if o not in swept and o.key_or_group != "hydra.searchpath"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        check(
            args.config_name or config_name, [*kept, *searching(own_folders(args.config_dir, args.overrides))]
        )


def help_text(config_name: str, folders: Sequence[str] = ()) -> str:
    """The comment that opens the root config, its keys, and every group with its choices, a line each.

    folders: further directories of config files, as `own_folders` has them.
    """
    root = CONF / f"{config_name}.yaml"
    defaults = [entry for entry in OmegaConf.load(root).defaults if not isinstance(entry, str)]
    chosen = {
        str(group).removeprefix("override "): choice for entry in defaults for group, choice in entry.items()
    }
    lines = [*_head(root), "", "Groups (group=choice, * is the default)"]
    groups = {group: default for group, default in chosen.items() if not group.startswith("hydra/")}
    places = [CONF, *(Path(folder.removeprefix("file://")) for folder in folders)]
    own = {group: None for place in places[1:] for group in _groups_in(place) if group not in groups}
    for group, default in {**groups, **own, "hydra/launcher": "basic"}.items():
        if any((place / group).is_dir() for place in places):
            lines += ["", f"  {group}", *_choices(group, default, places)]
    lines += ["", "Keys (key=value; every key of the composed config, see them with --cfg job)", ""]
    lines += [f"  {line}" for line in root.read_text().splitlines() if re.match(r"\w+: .*# ", line)]
    return "\n".join([*lines, "", "Hydra's own options: --hydra-help"])


def _groups_in(place: Path) -> list[str]:
    """Groups of a directory, but for Hydra's."""
    folders = {path.parent.relative_to(place).as_posix() for path in place.rglob("*.yaml")}
    return sorted(folder for folder in folders if folder != "." and folder.split("/")[0] != "hydra")


def _choices(group: str, default: Any, places: Sequence[Path]) -> Iterator[str]:
    files = {
        path.stem: path for place in reversed(places) for path in sorted((place / group).glob("[!_]*.yaml"))
    }
    summaries = {name: _summary(files[name]) for name in sorted(files)}
    if group == "hydra/launcher":
        summaries = {"basic": "One after another in this process", **summaries}
    for name, summary in summaries.items():
        yield f"  {'*' if name == default else ' '} {name:18} {summary}"


def _summary(path: Path) -> str:
    """The first comment of a config file that is no package directive."""
    return next((line for line in _head(path) if line and not line.startswith("@")), "")


def _head(path: Path) -> list[str]:
    """The comment lines a file opens with."""
    lines: list[str] = []
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").removeprefix(" "))
    return lines
