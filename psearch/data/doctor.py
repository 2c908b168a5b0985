"""Looks a data set over before a GPU is held: what is missing, damaged, contradictory or merely odd."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from psearch.data.checks import (
    Findings,
    check_boxes,
    check_identities,
    check_pictures,
    check_queries,
    listed,
)
from psearch.data.published import COUNTS, counts
from psearch.types import Benchmark


@dataclass(frozen=True)
class Examination:
    """A data set and what was found. benchmark: None where it could not be read at all."""

    benchmark: Benchmark | None
    findings: Findings

    def __str__(self) -> str:
        lines = []
        if self.benchmark is not None:
            lines += [f"{self.benchmark.name}, fingerprint {self.benchmark.fingerprint}"]
            lines += [f"  {number:7,} {what}" for what, number in counts(self.benchmark).items()]
        lines += [f"note: {line}" for line in self.findings.notes]
        lines += [f"problem: {line}" for line in self.findings.problems]
        return "\n".join(lines)


def examine(build: Callable[[], Benchmark], *, decode: bool = False, published: bool = True) -> Examination:
    """Reads a data set and checks pictures, boxes, identities, queries and galleries.

    build: reads the data set from its original files. decode: decode every picture instead of looking at
    headers and ends only. published: compare counts with the published ones, where there are any.
    """
    findings = Findings()
    try:
        with _listening(findings):
            benchmark = build()
    except ValueError as error:
        findings.problems.append(str(error))
        return Examination(None, findings)
    for split in filter(None, (benchmark.train, benchmark.val, benchmark.test)):
        check_pictures(split, findings, decode=decode)
        check_boxes(split, findings)
        check_queries(split, findings)
    check_identities(benchmark, findings)
    if published:
        findings.problems.extend(_differences(benchmark))
    return Examination(benchmark, findings)


def _differences(benchmark: Benchmark) -> Iterator[str]:
    found = counts(benchmark)
    for what, expected in COUNTS.get(benchmark.name, {}).items():
        if found[what] != expected:
            yield f"{found[what]} {what}, but {expected} are published; compare with the original files"


class _Listener(logging.Handler):
    """Keeps what readers log: warnings as they are, repairs by their text."""

    def __init__(self, findings: Findings) -> None:
        super().__init__()
        self.findings, self.repairs = findings, defaultdict[str, list[object]](list)

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self.findings.problems.append(record.getMessage())
        elif isinstance(record.args, tuple):
            self.repairs[record.msg].append(record.args[-1])


@contextmanager
def _listening(findings: Findings) -> Iterator[None]:
    """Collects what readers log: warnings as problems, repairs as notes, one line per kind."""
    logger, listener = logging.getLogger("psearch.data"), _Listener(findings)
    before = logger.level, logger.propagate
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(listener)
    try:
        yield
    finally:
        logger.removeHandler(listener)
        logger.setLevel(before[0])
        logger.propagate = before[1]
        findings.notes.extend(
            listed(text.removesuffix(": %s"), names) for text, names in listener.repairs.items()
        )
