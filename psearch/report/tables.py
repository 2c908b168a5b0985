"""The comparison as tables of text: for the terminal, for a README, for a paper."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence

from psearch.identity import AXES
from psearch.records import COSTS
from psearch.report.comparison import Comparison
from psearch.report.published import published_notes
from psearch.report.row import Estimate, Row
from psearch.report.runs import METRICS

Format = Callable[[str], str]
SEARCH = ("variant", METRICS["mAP"], METRICS["top1"], "gain", "gap closed", "seeds")
OTHERS = ("variant", *list(METRICS.values())[2:], *COSTS.values())
LATEX = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "·": r"$\cdot$",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
}


def terminal_table(comparison: Comparison) -> str:
    """Plain aligned text: how well the variants search, how they detect and what they cost, the notes,
    and the runs that failed."""
    if not comparison.rows:
        return "\n".join(["no run has finished", *_failed(comparison)])
    rows = [cells(row, comparison) for row in comparison.rows]
    blocks = [_aligned(rows, titles) for titles in (SEARCH, OTHERS)]
    return "\n\n".join([*blocks, "\n".join([NOTE, *footnotes(comparison), *_failed(comparison)])])


def _aligned(rows: Sequence[dict[str, str]], titles: Sequence[str]) -> str:
    lines = [titles, *([_one_line(row[title]) for title in titles] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines]
    return "\n".join([texts[0], "─" * len(texts[0]), *texts[1:]])


def markdown_table(comparison: Comparison) -> str:
    """A GitHub-flavoured table, best student of each accuracy in bold, and the notes below it."""
    notes = "".join(f"- {_markdown(line)}\n" for line in [*footnotes(comparison), *_failed(comparison)])
    if not comparison.rows:
        return f"No run has finished.\n\n{notes}"
    lines = [_emphasised(row, comparison, _markdown, "**{}**".format) for row in comparison.rows]
    titles = list(cells(comparison.rows[0], comparison))
    table = [titles, [":--", *["--:"] * (len(titles) - 1)], *lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in table) + f"\n{NOTE}\n\n{notes}"


def latex_table(comparison: Comparison) -> str:
    """A booktabs tabular for a paper, best student of each accuracy in bold."""
    lines = [_emphasised(row, comparison, _latex, r"\textbf{{{}}}".format) for row in comparison.rows]
    titles = list(map(_latex, cells(comparison.rows[0], comparison))) if lines else ["variant"]
    notes = "".join(f"% {_one_line(line)}\n" for line in [NOTE, *footnotes(comparison)])
    body = "".join(f"{' & '.join(line)} \\\\\n" for line in lines)
    return (
        f"% needs \\usepackage{{booktabs}}\n{notes}\\begin{{tabular}}{{l{'r' * (len(titles) - 1)}}}\n"
        f"\\toprule\n{' & '.join(titles)} \\\\\n\\midrule\n{body}\\bottomrule\n\\end{{tabular}}\n"
    )


def _emphasised(row: Row, comparison: Comparison, escape: Format, strong: Format) -> list[str]:
    texts = {title: escape(text) for title, text in cells(row, comparison).items()}
    winners = {title for name, title in METRICS.items() if is_best(row, name, comparison)}
    return [strong(text) if title in winners else text for title, text in texts.items()]


def _failed(comparison: Comparison) -> list[str]:
    return [f"failed: {failure.name}: {_one_line(failure.error)}" for failure in comparison.failures]


def _one_line(text: str) -> str:
    """Without line breaks, and without codes that would steer a terminal."""
    return "".join(character for character in " ".join(text.split()) if character.isprintable())


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", _one_line(text))


def _latex(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in _one_line(text))


NOTE = (
    "accuracies in percent: mean ± half-width of the 95 % t-interval over seeds; gain = distilled − "
    "baseline, gap closed = gain / (teacher − baseline), both of mAP and paired on seeds"
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
    """Whether no student is shown with a higher mean of this accuracy; a single student is not best."""
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
