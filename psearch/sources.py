"""The source of what a config names: which files a run is made by, and the defaults of their signatures.

Sources are read, not imported: it is quick, torch is not loaded, and no file that is asked about can run.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

CARRIERS = (
    *("psearch.cli", "psearch.launch", "psearch.config", "psearch.runs", "psearch.report"),
    *("psearch.tracking", "psearch.files", "psearch.identity", "psearch.sources"),
)
"""Code that starts, names, keeps, watches and reports what is computed, and computes nothing of it: a closure
stops here, so that a new column of the report makes no teacher anew."""


def code_digest(roots: Iterable[str], packages: tuple[str, ...] = ("psearch",)) -> str:
    """12 hex digits for the code of `code_closure`: syntax without docstrings and comments."""
    closure = code_closure(roots, packages)
    lines = [f"{module} {_source(path).meaning}\n" for module, path in sorted(closure.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:12]


def code_closure(roots: Iterable[str], packages: tuple[str, ...] = ("psearch",)) -> dict[str, Path]:
    """Module -> file of all that is imported, anywhere in a file, from the roots on.

    roots: modules, or dotted names of what is defined in one. Followed inside `packages` (dotted prefixes)
    and not into CARRIERS; other packages are known by the versions on record. What is imported by a computed
    name is not seen.
    """
    found: dict[str, Path] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if not _within(name, packages):
            continue
        module, path = _module_of(name)
        if path is None or module in found or module == "psearch" or _within(module, CARRIERS):
            continue
        found[module] = path
        waiting += [module.rpartition(".")[0], *_imports(_source(path), module, path)]
    return found


def _within(module: str, prefixes: Iterable[str]) -> bool:
    return any(module == prefix or module.startswith(f"{prefix}.") for prefix in prefixes)


def _imports(source: _Source, module: str, path: Path) -> Iterator[str]:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in source.imports:
        base = f"{_base(node, package)}." if isinstance(node, ast.ImportFrom) else ""
        yield from (base + alias.name for alias in node.names)


def _base(node: ast.ImportFrom, package: str) -> str:
    above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
    return ".".join([*above, *([node.module] if node.module else [])])


@cache
def _module_of(name: str) -> tuple[str, Path | None]:
    """The module a dotted name lies in and its file, found without importing it."""
    parts = name.split(".")
    try:
        spec = find_spec(parts[0]) if all(part.isidentifier() for part in parts) else None
    except (ImportError, ValueError):
        spec = None
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for length in range(len(parts), 1, -1):
        for place in (Path(folder, *parts[1:length]) for folder in folders):
            for path in (place.with_suffix(".py"), place / "__init__.py"):
                if path.is_file():
                    return ".".join(parts[:length]), path
    origin = Path(spec.origin) if spec and spec.origin else None
    return parts[0], origin if origin and origin.suffix == ".py" and origin.is_file() else None


@cache
def signature_defaults(target: str) -> dict[str, Any]:
    """Parameter -> default value of a function or class, as its source says; only literals, and none for what
    is not found. A class without a constructor of its own has its base's."""
    name, (module, path) = target.rpartition(".")[2], _module_of(target)
    return {} if path is None or module == target else _defaults(name, module, path)


def _defaults(name: str, module: str, path: Path) -> dict[str, Any]:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in _source(path).tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return _literals(_parameters(node.args))
        if isinstance(node, ast.ClassDef) and node.name == name:
            own = [n.args for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
            if own:
                return _literals(_parameters(own[0]))
            fields = [(n.target, n.value) for n in node.body if isinstance(n, ast.AnnAssign)]
            inherited = [
                _defaults(base.id, module, path) for base in node.bases if isinstance(base, ast.Name)
            ]
            own_fields = _literals(
                (field.id, value) for field, value in fields if isinstance(field, ast.Name)
            )
            return {key: value for part in (*inherited, own_fields) for key, value in part.items()}
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    return signature_defaults(f"{_base(node, package)}.{alias.name}")
    return {}


def _parameters(signature: ast.arguments) -> Iterator[tuple[str, ast.expr | None]]:
    positional = [*signature.posonlyargs, *signature.args]
    first = len(positional) - len(signature.defaults)
    yield from ((a.arg, v) for a, v in zip(positional[first:], signature.defaults, strict=True))
    yield from ((a.arg, v) for a, v in zip(signature.kwonlyargs, signature.kw_defaults, strict=True))


def _literals(named: Iterable[tuple[str, ast.expr | None]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in named:
        with suppress(ValueError):
            found |= {name: _literal(value)} if value is not None else {}
    return found


def _literal(node: ast.expr) -> Any:
    """The value of a literal, or of a fraction like 1 / 30."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return ast.literal_eval(node.left) / ast.literal_eval(node.right)
    return ast.literal_eval(node)


@dataclass(frozen=True)
class _Source:
    """A parsed file without its docstrings, and all imports in it, also those inside functions."""

    tree: ast.Module
    imports: Sequence[ast.Import | ast.ImportFrom]

    @cached_property
    def meaning(self) -> str:
        return hashlib.sha256(ast.dump(self.tree).encode()).hexdigest()


def _source(path: Path) -> _Source:
    found = path.stat()
    return _parsed(path, found.st_size, found.st_mtime_ns)


_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@cache
def _parsed(path: Path, size: int, mtime_ns: int) -> _Source:
    tree, imports = ast.parse(path.read_bytes(), str(path)), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports.append(node)
        elif isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body[:1] = []
    return _Source(tree, imports)
