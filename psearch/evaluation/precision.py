"""Average precision, the number under every metric of this room."""

from __future__ import annotations

import numpy as np


def average_precision(right: np.ndarray, everything: np.ndarray, total: int) -> float:
    """Step-wise area under precision over recall, where recall counts what was never found too.

    right: scores of the right answers; everything: scores of all answers, the right ones included; both
    sorted, lowest first. total: how many right answers there are to find. Equal scores are one threshold.
    Equals `sklearn.metrics.average_precision_score` times recall, which is what the person-search
    evaluators print: each right answer contributes the precision at its own score, one never found none.
    """
    if not len(right):
        return 0.0
    right_above = len(right) - np.searchsorted(right, right, side="left")
    all_above = len(everything) - np.searchsorted(everything, right, side="left")
    return float((right_above / all_above).sum() / total)
