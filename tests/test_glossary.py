"""The glossary defines each term once, in the order in which one looks for it, and as far as it is in use."""

from __future__ import annotations

import re
from pathlib import Path

TEXT = (Path(__file__).parents[1] / "docs" / "glossary.md").read_text().partition("\n\n## ")[0]
TERMS = re.findall(r"^\*\*([^*]+)\*\*", TEXT, re.M)


def test_terms_are_in_alphabetical_order_and_defined_once() -> None:
    names = [re.sub(r"[^a-z0-9 ]", "", term.lower()) for term in TERMS]
    assert len(names) > 60 and names == sorted(set(names))


def test_a_definition_is_a_sentence_or_two() -> None:
    paragraphs = [part for part in TEXT.split("\n\n") if part.startswith("**")]
    assert [part[:30] for part in paragraphs if len(part) > 400 or not part.endswith(".")] == []
