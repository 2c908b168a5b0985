"""Numbers that others published, for the report to print beside what was measured here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from psearch.report.comparison import Comparison
from psearch.report.row import Row
from psearch.report.runs import METRICS


@dataclass(frozen=True)
class Published:
    """One row of a published table: what was measured, by which protocol, for which variant; metrics are
    fractions. `how`: what differs from the variant here."""

    dataset: str
    gallery_size: int
    compression: str
    distill: str
    metrics: Mapping[str, float]
    how: str = ""

    def matches(self, row: Row) -> bool:
        """Whether a row is that variant, measured by that protocol."""
        protocol = row.runs[0].record.protocol
        same = (protocol.get("dataset"), protocol.get("gallery_size")) == (self.dataset, self.gallery_size)
        student, compression, _, distill = row.axes
        variant = (student, compression, distill) == ("oim", self.compression, self.distill)
        return same and variant and row.role == "student"


def _cuhk(compression: str, distill: str, mAP: float, top1: float, AP: float, recall: float) -> Published:
    metrics = {"mAP": mAP, "top1": top1, "detection_AP": AP, "detection_recall": recall}
    how = "" if distill == "none" else "with QEEPS as teacher"
    return Published("cuhk_sysu", 100, f"{compression}_imagenet", distill, metrics, how)


SETS: dict[str, tuple[str, tuple[Published, ...]]] = {
    "bmvc2019": (
        "Munjal, Amin, Galasso 2019, table in the authors' README of 2020-06-16",
        (
            _cuhk("r50", "none", 0.780, 0.779, 0.752, 0.827),
            _cuhk("r50", "identities", 0.838, 0.842, 0.817, 0.868),
            _cuhk("r18", "none", 0.691, 0.680, 0.742, 0.816),
            _cuhk("r18", "identities", 0.824, 0.830, 0.808, 0.860),
        ),
    )
}
"""Word of `published=` -> source, rows."""


def published_notes(comparison: Comparison) -> Iterator[str]:
    """A sentence for each row that the study's chosen set has a number for: published, measured here, the
    difference; and one for a set that is not known."""
    for row in comparison.students:
        word = row.runs[0].config.get("published", "null")
        if word == "null":
            continue
        if word not in SETS:
            yield f"published={word} of {row.label} is not known: choose one of {', '.join(SETS)}, or null"
            continue
        source, rows = SETS[word]
        for known in rows:
            if known.matches(row):
                how = f" {known.how}" if known.how else ""
                yield f"published for {row.label}{how} ({source}): {_beside(known, row)}"


def _beside(known: Published, row: Row) -> str:
    measured = {name: row.metrics[name].mean for name in known.metrics if name in row.metrics}
    return "; ".join(
        f"{METRICS[name]} {100 * known.metrics[name]:.1f}, here {100 * mean:.1f} "
        f"({100 * (mean - known.metrics[name]):+.1f})"
        for name, mean in measured.items()
    )
