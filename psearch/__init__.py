"""psearch: knowledge distillation and compression of end-to-end person search."""

__version__ = "0.1.0"
