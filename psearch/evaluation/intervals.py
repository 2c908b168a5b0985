"""How far a mean over queries can be trusted."""

from __future__ import annotations

import numpy as np
from scipy.stats import bootstrap


def bootstrap_interval(
    values: np.ndarray, *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of values (Q,), resampling queries; the same for a seed.

    It says how the number would vary with other queries of the same benchmark, not with other trainings. One
    query has no spread: its interval is its value.
    """
    if len(values) < 2:
        return float(values.mean()), float(values.mean())
    drawn = bootstrap(
        (values,),
        np.mean,
        method="percentile",
        confidence_level=confidence,
        n_resamples=resamples,
        batch=max(1, 2**22 // len(values)),
        rng=np.random.default_rng(seed),
    )
    return float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)
