"""What a run found, as the file `detections.npz` that any evaluation or report can start from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from psearch.evaluation.evaluator import Evaluation
from psearch.training.files import replace
from psearch.types import Split

NAME = "detections.npz"


def save_found(directory: Path, split: Split, evaluation: Evaluation) -> None:
    """Write detections and query embeddings of an evaluation: see docs/architecture.md for the arrays."""
    found = evaluation.detections
    names = [scene.name for scene in split.scenes]
    arrays = {
        "images": np.repeat(names, [len(part.boxes) for part in found]),
        "boxes": np.concatenate([part.boxes for part in found]),
        "scores": np.concatenate([part.scores for part in found]),
        "embeddings": np.concatenate([part.embeddings for part in found]),
        "query_embeddings": evaluation.query_embeddings,
    }
    replace(directory / NAME, lambda file: np.savez(file, **arrays))
