"""The comparison as tables of text: for the terminal, for a README, for a paper."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from psearch.report.cells import NOTE, cells, footnotes, is_best
from psearch.report.comparison import Comparison
from psearch.report.measures import COSTS, METRICS
from psearch.report.row import Row

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
