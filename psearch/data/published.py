"""How much the published data sets hold, to tell a complete copy from one that is not."""

from __future__ import annotations

import numpy as np

from psearch.types import Benchmark

PRW = {
    "training scenes": 5704,
    "training boxes": 18048,
    "training identities": 483,
    "test scenes": 6112,
    "test boxes": 25062,
    "queries": 2057,
}
CUHK_SYSU = {
    "training scenes": 11206,
    "training boxes": 55272,
    "training identities": 5532,
    "test scenes": 6978,
    "test boxes": 40871,
    "queries": 2900,
}
COUNTS = {
    "cuhk_sysu": CUHK_SYSU,
    "cuhk_sysu_occlusion": {**CUHK_SYSU, "queries": 187},
    "cuhk_sysu_low_resolution": {**CUHK_SYSU, "queries": 290},
    "prw": PRW,
    "prw_mini": {**PRW, "queries": 30},
}
"""Benchmark name -> what `counts` gives for a complete copy. Source: Xiao et al. 2017, Zheng et al. 2017,
and what public readers find in the files."""


def counts(benchmark: Benchmark) -> dict[str, int]:
    """Numbers of scenes, boxes, identities and queries."""
    test = benchmark.test
    known = np.concatenate([np.zeros(0, np.int64), *(scene.ids for scene in test.scenes)])
    return {
        "training scenes": len(benchmark.train.scenes),
        "training boxes": sum(len(scene.ids) for scene in benchmark.train.scenes),
        "training identities": benchmark.identities,
        "test scenes": len(test.scenes),
        "test boxes": len(known),
        "test identities": len(np.unique(known[known >= 0])),
        "queries": len(test.queries),
    }
