"""The program `psearch <command>`; `python -m psearch <command>` is the same."""

from __future__ import annotations

import ast
import sys
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

from psearch import __version__

CLI = Path(__file__).parent / "cli"


def main() -> None:
    """Hand the rest of the command line to a command; without one, list them."""
    commands = {path.stem: path for path in sorted(CLI.glob("*.py"))}
    word = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if word in ("--help", "-h"):
        print(help_text(commands))
    elif word == "--version":
        print(f"psearch {__version__}")
    elif word not in commands:
        near = get_close_matches(word, commands, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        sys.exit(f"error: there is no command '{word}'{hint} ({', '.join(commands)})")
    else:
        sys.argv = [f"psearch {word}", *sys.argv[2:]]
        import_module(f"psearch.cli.{word}").program()


def help_text(commands: dict[str, Path]) -> str:
    """What each command is for: the sentence its file opens with, up to the example."""
    lines = ["psearch <command> [arguments]", ""]
    for name, path in commands.items():
        summary = (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()[0]
        lines.append(f"  {name:10} {summary.partition(': `')[0].rstrip('.')}")
    return "\n".join([*lines, "", "psearch <command> --help says more"])


if __name__ == "__main__":
    main()
