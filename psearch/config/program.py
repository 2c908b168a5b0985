"""What every entry point does around Hydra: help, a check of the overrides, errors one can read."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from psearch.config.errors import MISTAKES, ONE_LINE, message
from psearch.config.overrides import check
from psearch.engine.signals import Interruption

CONF = Path(__file__).resolve().parents[2] / "conf"


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
    args = get_args_parser().parse_args()
    if args.help:
        print(help_text(config_name))
        return
    ONE_LINE.set(os.environ.get("HYDRA_FULL_ERROR") != "1")
    try:
        refuse_ranks(args, config_name)
        check_command(args, config_name)
        with errors_handed_on(), Interruption():
            main()
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
    if (
        args.hydra_help
        or args.shell_completion
        or args.experimental_rerun
        or args.config_path
        or args.config_name
    ):
        return
    overrides = list(args.overrides)
    if args.multirun:
        parsed = OverridesParser.create().parse_overrides(overrides)
        overrides = [str(o.input_line) for o in parsed if not o.is_sweep_override()]
    if args.config_dir:
        overrides.append(f"hydra.searchpath=[file://{os.path.abspath(args.config_dir)}]")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        check(config_name, overrides)


def help_text(config_name: str) -> str:
    """The comment that opens the root config, its keys, and every group with its choices, a line each."""
    root = CONF / f"{config_name}.yaml"
    defaults = [entry for entry in OmegaConf.load(root).defaults if not isinstance(entry, str)]
    chosen = {
        str(group).removeprefix("override "): choice for entry in defaults for group, choice in entry.items()
    }
    lines = [*_head(root), "", "Groups (group=choice, * is the default)"]
    groups = {group: default for group, default in chosen.items() if not group.startswith("hydra/")}
    for group, default in {**groups, "hydra/launcher": "basic"}.items():
        if (CONF / group).is_dir():
            lines += ["", f"  {group}", *_choices(group, default)]
    lines += ["", "Keys (key=value; every key of the composed config, see them with --cfg job)", ""]
    lines += [f"  {line}" for line in root.read_text().splitlines() if re.match(r"\w+: .*# ", line)]
    return "\n".join([*lines, "", "Hydra's own options: --hydra-help"])


def _choices(group: str, default: Any) -> Iterator[str]:
    files = {path.stem: _summary(path) for path in sorted((CONF / group).glob("*.yaml"))}
    if group == "hydra/launcher":
        files = {"basic": "One after another in this process", **files}
    for name, summary in files.items():
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
