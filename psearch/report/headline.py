"""The result in a few honest sentences."""

from __future__ import annotations

from statistics import fmean

from psearch.report.cells import percent
from psearch.report.comparison import Comparison
from psearch.report.gap import Gain
from psearch.report.row import Row


def featured(comparison: Comparison) -> tuple[Row, Gain] | None:
    """The taught student with the largest gain over itself alone; None if no pair was measured."""
    measured = [(row, gain) for row, gain in comparison.gains.items() if gain.gain is not None]
    return max(measured, key=lambda pair: pair[1].gain.mean if pair[1].gain else 0.0, default=None)


def headline(comparison: Comparison) -> list[str]:
    """What was compared, what came out, over how many seeds, and what it does not show."""
    sentences = _result(comparison)
    if count := len(comparison.failures):
        runs = "run has no result and is" if count == 1 else "runs have no result and are"
        sentences.append(f"{count} {runs} not counted.")
    return sentences


def _result(comparison: Comparison) -> list[str]:
    found = featured(comparison)
    if found:
        return _taught(*found, candidates=len(comparison.gains))
    measured = [row for row in comparison.rows if "mAP" in row.metrics]
    if not measured:
        return ["No run has a search result yet."]
    best = max(measured, key=lambda row: row.metrics["mAP"].mean)
    seeds = f"{len(best.runs)} seed{'s' * (len(best.runs) > 1)}"
    return [
        f"The best result is {percent(best.metrics['mAP'])} % mAP ({best.label}, {seeds}).",
        "No taught student stands beside the same student alone, so nothing is said about distillation.",
    ]


def _taught(row: Row, gain: Gain, *, candidates: int) -> list[str]:
    assert gain.alone is not None and gain.gain is not None
    student, compression, teacher, distill = row.axes
    taught, alone = (fmean(r.values("mAP")[seed] for seed in gain.seeds) for r in (row, gain.alone))
    mean = gain.gain.mean
    selection = f" (the best of {candidates} taught variants)" if candidates > 1 else ""
    return [
        f"Taught by {teacher} ({distill}), the {compression} {student} student reaches {100 * taught:.1f} % "
        f"mAP; alone, with the same settings and seed{'s' * (len(gain.seeds) > 1)}, {100 * alone:.1f} %: "
        f"{abs(100 * mean):.1f} points {'more' if mean >= 0 else 'less'}{selection}.",
        _certainty(gain),
        _gap(gain),
    ]


def _certainty(gain: Gain) -> str:
    assert gain.gain is not None
    values, interval = gain.gain.values, gain.gain.interval
    if interval is None:
        return f"This is one seed ({gain.seeds[0]}): it may be chance."
    above = sum(value > 0 for value in values)
    count = "every one of" if above == len(values) else f"{above} of"
    verdict = "excludes" if abs(gain.gain.mean) > interval else "includes"
    return (
        f"The taught student is ahead in {count} {len(values)} seeds; the 95 % interval of the difference "
        f"(± {100 * interval:.1f} points) {verdict} zero."
    )


def _gap(gain: Gain) -> str:
    if gain.closed is None:
        return f"Gap closed: {gain.reason}."
    return f"It closes {percent(gain.closed)} % of the gap to its reference ({gain.reference_text})."
