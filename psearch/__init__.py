"""psearch: knowledge distillation and compression of end-to-end person search."""

from pathlib import Path

__version__ = "0.1.0"

# `python -m psearch.train` is the command `psearch train`: modules of cli/ are found here, too.
__path__.append(str(Path(__file__).parent / "cli"))
