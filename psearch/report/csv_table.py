"""comparison.csv: unrounded numbers for whoever computes on."""

from __future__ import annotations

import csv
import io

from psearch.report.comparison import Comparison
from psearch.report.config import AXES
from psearch.report.measures import COSTS, METRICS
from psearch.report.row import Row

MEASURED = (*METRICS, "gain", "gap_closed")
FIELDS = (
    "role",
    "variant",
    *AXES,
    "settings",
    "seeds",
    *(name + suffix for name in MEASURED for suffix in ("", "_interval")),
    "gap_reference",
    "gap_reason",
    *COSTS,
)


def csv_table(comparison: Comparison) -> str:
    """One line per variant. Accuracies, gain and gap are fractions, `_interval` the half-width of the 95 %
    t-interval; an empty cell was not measured (or, for an interval, is one seed)."""
    target = io.StringIO()
    writer = csv.DictWriter(target, FIELDS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_record(row, comparison) for row in comparison.rows)
    return target.getvalue()


def _record(row: Row, comparison: Comparison) -> dict[str, object]:
    gain = comparison.gains.get(row)
    record: dict[str, object] = {
        "role": row.role,
        "variant": row.label,
        **dict(zip(AXES, row.axes, strict=True)),
        "settings": " ".join(row.differing),
        "seeds": " ".join(map(str, row.seeds)),
        **{name: value.mean for name, value in row.costs.items()},
    }
    measured = dict(row.metrics)
    if gain:
        record |= {"gap_reference": gain.reference_text, "gap_reason": gain.reason}
        found = {"gain": gain.gain, "gap_closed": gain.closed}
        measured |= {name: value for name, value in found.items() if value is not None}
    for name, value in measured.items():
        record |= {name: value.mean, f"{name}_interval": "" if value.interval is None else value.interval}
    return record
