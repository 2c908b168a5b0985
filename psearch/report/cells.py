"""The comparison as people read it: one text per cell, the same in every table."""

from __future__ import annotations

from psearch.report.comparison import Comparison
from psearch.report.estimate import Estimate
from psearch.report.measures import COSTS, METRICS
from psearch.report.published import published_notes
from psearch.report.row import Row

NOTE = (
    "accuracies in percent: mean ± half-width of the 95 % t-interval over seeds; gain = taught − alone, "
    "gap closed = gain / (teacher − alone), both of mAP and paired on seeds"
)


def percent(value: Estimate | None, *, signed: bool = False) -> str:
    """A fraction as percent with its interval; an en dash where nothing was measured."""
    if value is None:
        return "–"
    text = f"{100 * value.mean:{'+' if signed else ''}.1f}"
    return text if value.interval is None else f"{text} ± {100 * value.interval:.1f}"


def amount(name: str, value: Estimate | None) -> str:
    """A cost as people write it: 0.41 M, 1.20 G, 8.3 (ms), 1.70 MB."""
    if value is None:
        return "–"
    if name == "latency_ms":
        return f"{value.mean:.1f}"
    factor, unit = (1e9, "G") if value.mean >= 1e9 else (1e6, "M")
    scaled = value.mean / factor
    digits = 0 if scaled >= 100 else 1 if scaled >= 10 else 2
    return f"{scaled:.{digits}f} {unit}" + "B" * (name == "file_bytes")


def cells(row: Row, comparison: Comparison) -> dict[str, str]:
    """Title -> text of one row."""
    gain = comparison.gains.get(row)
    return {
        "variant": row.label,
        **{title: percent(row.metrics.get(name)) for name, title in METRICS.items()},
        "gain": percent(gain.gain if gain else None, signed=True),
        "gap closed": percent(gain.closed if gain else None),
        **{title: amount(name, row.costs.get(name)) for name, title in COSTS.items()},
        "seeds": " ".join(map(str, row.seeds)),
    }


def is_best(row: Row, name: str, comparison: Comparison) -> bool:
    """Whether no student is shown with a higher mean of this accuracy; one student alone is not best."""
    rivals = [rival.metrics[name].mean for rival in comparison.students if name in rival.metrics]
    measured = row.role == "student" and name in row.metrics and len(rivals) > 1
    return measured and round(row.metrics[name].mean, 3) == round(max(rivals), 3)


def footnotes(comparison: Comparison) -> list[str]:
    """Which reference each gap names or why it has no number, published numbers, what else to know."""
    labels: dict[str, list[str]] = {}
    for row, gain in comparison.gains.items():
        if gain.reference:
            labels.setdefault(f"gap closed is measured against {gain.reference_text}", []).append(row.label)
        if gain.reason:
            labels.setdefault(f"no gap closed: {gain.reason}", []).append(row.label)
    everyone = len(comparison.gains)
    whose = {text: "" if len(rows) == everyone else f" ({'; '.join(rows)})" for text, rows in labels.items()}
    gaps = (text + rows for text, rows in whose.items())
    return [*gaps, *published_notes(comparison), *comparison.notes]
