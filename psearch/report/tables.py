"""The comparison as CSV (raw fractions), and as Markdown, LaTeX and terminal tables (percent)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from operator import itemgetter

from psearch.report.comparison import Comparison
from psearch.report.estimate import Estimate
from psearch.report.row import COSTS, METRICS, Row
from psearch.report.runs import AXES

Format = Callable[[str], str]
LATEX = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "·": r"$\cdot$",
    "±": r"$\pm$",
    "−": "$-$",
}
NOTE = "mean ± half-width of the 95 % t-interval over seeds; gap closed = (taught − alone) / (teacher − alone)"


def percent(value: Estimate | None, *, signed: bool = False) -> str:
    """A fraction as percent with its interval; an en dash where nothing was measured."""
    if value is None:
        return "–"
    text = f"{100 * value.mean:{'+' if signed else ''}.1f}"
    return text if value.interval is None else f"{text} ± {100 * value.interval:.1f}"


def amount(name: str, value: Estimate | None) -> str:
    """A cost as people write it: 0.41 M, 1.2 G, 8.3 (ms), 1.7 MB."""
    if value is None:
        return "–"
    if name == "latency_ms":
        return f"{value.mean:.1f}"
    factor, unit = (1e9, "G") if value.mean >= 1e9 else (1e6, "M")
    return f"{value.mean / factor:.2f} {unit}" + "B" * (name == "file_bytes")


def cells(row: Row, comparison: Comparison) -> list[str]:
    """The texts of one row, under `titles()`."""
    gain = comparison.gains.get(row)
    return [
        row.label,
        *(percent(row.metrics.get(name)) for name in METRICS),
        percent(gain.gain if gain else None, signed=True),
        percent(gain.closed if gain else None),
        *(amount(name, row.costs.get(name)) for name in COSTS),
        " ".join(map(str, row.seeds)),
    ]


def titles() -> list[str]:
    accuracies = [f"{title}, %" for title in METRICS.values()]
    return ["variant", *accuracies, "gain, points", "gap closed, %", *COSTS.values(), "seeds"]


def footnotes(comparison: Comparison) -> list[str]:
    """Which reference each gap names, why a gap has no number, and what else is to be known."""
    lines = []
    for row, gain in comparison.gains.items():
        reference = f"against {gain.reference_text}" if gain.reference else "no reference"
        lines.append(f"{row.label}: gap {reference}" + (f"; {gain.reason}" if gain.reason else ""))
    return [*lines, *comparison.notes]


def best(comparison: Comparison) -> dict[str, Row]:
    """The student with the highest mean in each accuracy; nothing is best among fewer than two."""
    ranked = {
        name: sorted(((row.metrics[name].mean, row) for row in comparison.students if name in row.metrics),
                     key=itemgetter(0))
        for name in METRICS
    }
    return {name: pairs[-1][1] for name, pairs in ranked.items() if len(pairs) > 1}


def terminal_table(comparison: Comparison) -> str:
    """Plain aligned text: the table, the notes, and the runs that failed."""
    lines = [titles(), *(cells(row, comparison) for row in comparison.rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines]
    rows.insert(1, "─" * len(rows[0]))
    failed = [f"failed: {failure.name}: {_one_line(failure.error)}" for failure in comparison.failures]
    return "\n".join([*rows, "", NOTE, *footnotes(comparison), *failed])


def markdown_table(comparison: Comparison) -> str:
    """A GitHub-flavoured table, best student of each accuracy in bold, and the notes below it."""
    head = f"| {' | '.join(titles())} |\n|:--" + "|--:" * (len(titles()) - 1) + "|\n"
    lines = [_emphasised(row, comparison, _markdown, "**{}**".format) for row in comparison.rows]
    body = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    failed = [f"failed: {failure.name}: {_one_line(failure.error)}" for failure in comparison.failures]
    notes = "".join(f"- {_markdown(line)}\n" for line in [*footnotes(comparison), *failed])
    return f"{head}{body}\n{NOTE}\n\n{notes}"


def latex_table(comparison: Comparison) -> str:
    """A booktabs tabular for a paper, best student of each accuracy in bold."""
    head = " & ".join(map(_latex, titles()))
    lines = (" & ".join(_emphasised(row, comparison, _latex, r"\textbf{{{}}}".format)) for row in comparison.rows)
    notes = "".join(f"% {_one_line(line)}\n" for line in [NOTE, *footnotes(comparison)])
    body = "".join(f"{line} \\\\\n" for line in lines)
    columns = "l" + "r" * (len(titles()) - 1)
    return (
        f"% needs \\usepackage{{booktabs}}\n{notes}\\begin{{tabular}}{{{columns}}}\n\\toprule\n"
        f"{head} \\\\\n\\midrule\n{body}\\bottomrule\n\\end{{tabular}}\n"
    )


def csv_table(comparison: Comparison) -> str:
    """One line per variant with unrounded numbers: accuracies, gain and gap as fractions."""
    target = io.StringIO()
    lines = [_csv_record(row, comparison) for row in comparison.rows]
    fields = ["role", "variant", *AXES, "settings", "seeds"]
    fields += [name + suffix for name in (*METRICS, "gain", "gap_closed") for suffix in ("", "_interval")]
    fields += ["gap_reference", "gap_reason", *COSTS]
    writer = csv.DictWriter(target, fields, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return target.getvalue()


def _csv_record(row: Row, comparison: Comparison) -> dict[str, object]:
    gain = comparison.gains.get(row)
    record: dict[str, object] = {"role": row.role, "variant": row.label}
    record |= dict(zip(AXES, row.axes, strict=True))
    record |= {"settings": " ".join(row.differing), "seeds": " ".join(map(str, row.seeds))}
    estimates = dict(row.metrics)
    if gain:
        record |= {"gap_reference": gain.reference_text, "gap_reason": gain.reason}
        estimates |= {k: v for k, v in (("gain", gain.gain), ("gap_closed", gain.closed)) if v is not None}
    for name, value in estimates.items():
        record |= {name: value.mean, f"{name}_interval": "" if value.interval is None else value.interval}
    return record | {name: value.mean for name, value in row.costs.items()}


def _emphasised(row: Row, comparison: Comparison, escape: Format, strong: Format) -> Sequence[str]:
    winners = best(comparison)
    texts = [escape(text) for text in cells(row, comparison)]
    for column, name in enumerate(METRICS, start=1):
        if winners.get(name) is row:
            texts[column] = strong(texts[column])
    return texts


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", _one_line(text))


def _latex(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in _one_line(text))
