"""From a network to numbers: one forward per scene, the query described like a gallery person."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from psearch.boxes import encode
from psearch.evaluation.describe import describe, detections
from psearch.evaluation.evaluator import Evaluator
from psearch.evaluation.protocols import cut
from psearch.evaluation.similarities import ContextMatching
from psearch.types import UNLABELLED, Batch, Detections, Pick, Query, Scene, SearchOutput, Split

HEIGHT, WIDTH = 40, 60
COLOURS = {1: (0.9, 0.1, 0.1), 2: (0.1, 0.9, 0.1), UNLABELLED: (0.1, 0.1, 0.9)}
PLACES = np.array([[2, 4, 12, 36], [20, 4, 30, 36], [40, 4, 50, 36]], np.float32)


class Painted(nn.Module):
    """Describes a box by its mean colour, proposes fixed places, and believes in places that are not grey."""

    def __init__(self, *, detects: bool = True) -> None:
        super().__init__()
        self.detects = detects
        self.calls: list[bool] = []

    def forward(self, images: Tensor, pick: Pick) -> SearchOutput:
        self.calls.append(self.training)
        scale = images.shape[-1] / WIDTH
        boxes = pick(
            lambda: (
                [torch.from_numpy(PLACES) * scale if self.detects else images.new_zeros(0, 4)] * len(images)
            )
        )
        means = torch.stack(
            [
                image[:, int(y1) : int(y2), int(x1) : int(x2)].mean(dim=(1, 2))
                for image, rows in zip(images, boxes, strict=True)
                for x1, y1, x2, y2 in rows.tolist()
            ]
        )
        embeddings = nn.functional.normalize(means - 0.5, dim=1)
        if not self.detects:
            return SearchOutput(boxes=boxes, embeddings=embeddings)
        person = (means - 0.5).abs().sum(dim=1) * 20 - 4
        logits = torch.stack([torch.zeros_like(person), person], dim=1)
        return SearchOutput(
            boxes=boxes, box_logits=logits, box_deltas=torch.zeros(len(means), 4), embeddings=embeddings
        )


IDS = [[1, 2, UNLABELLED], [2, 1], [UNLABELLED, 2, 1]]
SCENES = [
    Scene(f"s{i}", HEIGHT, WIDTH, PLACES[: len(ids)], np.array(ids), np.zeros(len(ids), bool))
    for i, ids in enumerate(IDS)
]
QUERIES = [
    Query(0, PLACES[1], 2, np.array([1, 2])),
    Query(2, PLACES[2], 1, np.array([0, 1])),
    Query(0, PLACES[0], 1, np.array([2, 1])),
]


def picture(index: int) -> np.ndarray:
    image = np.full((3, HEIGHT, WIDTH), 0.5, np.float32)
    for (x1, y1, x2, y2), identity in zip(PLACES.astype(int).tolist(), IDS[index], strict=False):
        image[:, y1:y2, x1:x2] = np.array(COLOURS[identity])[:, None, None]
    return image


def loader(scale: int = 2) -> Iterator[Batch]:
    """Batches of at most two scenes, out of order, resized."""
    for indices in ([2, 0], [1]):
        images = torch.stack([torch.from_numpy(picture(i)) for i in indices])
        images = images.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
        yield Batch(
            images=images,
            sizes=torch.tensor([[HEIGHT * scale, WIDTH * scale]] * len(indices)),
            scales=torch.full((len(indices),), float(scale)),
            boxes=[torch.from_numpy(SCENES[i].boxes) * scale for i in indices],
            ids=[torch.from_numpy(SCENES[i].ids) for i in indices],
            ignore=[torch.from_numpy(SCENES[i].ignore) for i in indices],
            scenes=indices,
        )


SPLIT = Split("test", SCENES, picture, QUERIES)


def test_a_network_that_sees_everything_scores_one_everywhere_in_one_pass():
    network = Painted()
    evaluation = Evaluator()(network, loader(), SPLIT)
    assert set(evaluation.metrics.values()) == {1.0}
    assert {"mAP", "top1", "top5", "top10", "detection_AP", "detection_recall", "gt_mAP", "gt_top1"} <= set(
        evaluation.metrics
    )
    assert network.calls == [False, False] and network.training
    assert evaluation.protocol["queries"] == 3 and evaluation.protocol["mode"] == "strict"
    assert evaluation.per_query == {"AP": [1.0] * 3, "top1": [1.0] * 3}
    np.testing.assert_allclose(
        evaluation.detections[1].boxes[:, 0].tolist(), sorted(PLACES[:2, 0]), atol=1e-4
    )


def test_a_query_is_described_like_a_detection_at_the_same_box():
    described = describe(Painted(), loader(), SCENES, QUERIES)
    for row, query in enumerate(QUERIES):
        person = np.flatnonzero((SCENES[query.scene].boxes == query.box).all(axis=1))[0]
        np.testing.assert_array_equal(
            described.queries[row], described.people[query.scene].embeddings[person]
        )
        found = described.detections[query.scene]
        twin = np.abs(found.boxes - query.box).sum(axis=1).argmin()
        np.testing.assert_array_equal(described.queries[row], found.embeddings[twin])


def test_a_network_that_only_describes_gets_the_upper_bound_alone():
    evaluation = Evaluator()(Painted(detects=False), loader(), SPLIT)
    assert evaluation.metrics == {"gt_mAP": 1.0, "gt_top1": 1.0}


def test_two_steps_search_one_networks_boxes_with_anothers_embeddings():
    everywhere = [Detections(PLACES, np.ones(3, np.float32), np.ones((3, 5), np.float32))] * 3
    blind = Evaluator().measure(SPLIT, everywhere, np.ones((3, 5), np.float32))
    assert blind.metrics["top1"] == 0 and "gt_mAP" not in blind.metrics
    taught = Evaluator().two_step(Painted(detects=False), loader(), SPLIT, everywhere)
    assert taught.metrics["mAP"] == 1.0
    assert taught.metrics["detection_AP"] == blind.metrics["detection_AP"] < 1


def test_nan_names_the_scene():
    class Diverged(Painted):
        def forward(self, images: Tensor, pick: Pick) -> SearchOutput:
            output = super().forward(images, pick)
            output.embeddings[0] = torch.nan
            return output

    with pytest.raises(ValueError, match="scene s2: the network's output holds NaN"):
        Evaluator()(Diverged(), loader(), SPLIT)


def test_a_loader_that_drops_scenes_is_refused():
    with pytest.raises(ValueError, match="left out 1 scenes, first s1"):
        Evaluator()(Painted(), list(loader())[:1], SPLIT)


def test_unknown_protocols_name_the_known_ones():
    with pytest.raises(ValueError, match="strict"):
        Evaluator(protocol="lenient")


def output(boxes: Tensor, anchors: Tensor, person: list[float]) -> SearchOutput:
    probability = torch.tensor(person)
    return SearchOutput(
        boxes=[anchors],
        box_logits=torch.stack([(1 - probability).log(), probability.log()], dim=1),
        box_deltas=encode(boxes, anchors),
        embeddings=torch.eye(len(boxes)),
    )


def test_postprocessing_decodes_clips_thresholds_suppresses_and_returns_to_original_pixels():
    anchors = torch.tensor([[0.0, 0, 20, 40], [0, 0, 20, 40], [60, 0, 80, 40], [90, 0, 110, 40]])
    boxes = torch.tensor([[2.0, 0, 22, 40], [0, 0, 20, 40], [60, 0, 80, 40], [90, 0, 130, 40]])
    batch = Batch(
        images=torch.zeros(1, 3, 80, 120),
        sizes=torch.tensor([[80, 100]]),
        scales=torch.tensor([2.0]),
        boxes=[boxes],
        ids=[],
        ignore=[],
        scenes=[0],
    )
    (found,) = detections(
        output(boxes, anchors, [0.9, 0.8, 0.05, 0.7]),
        batch,
        score_threshold=0.1,
        nms_threshold=0.4,
        max_detections=5,
    )
    np.testing.assert_allclose(found.boxes, [[1, 0, 11, 20], [45, 0, 50, 20]], atol=1e-4)
    np.testing.assert_allclose(found.scores, [0.9, 0.7], atol=1e-6)
    np.testing.assert_array_equal(found.embeddings, np.eye(4)[[0, 3]])
    (first,) = detections(
        output(boxes, anchors, [0.9, 0.8, 0.05, 0.7]),
        batch,
        score_threshold=0.1,
        nms_threshold=0.4,
        max_detections=1,
    )
    assert len(first.boxes) == 1


def test_the_other_protocol_and_further_galleries_stand_beside_the_result():
    own = [Query(q.scene, q.box, q.identity, np.append(q.gallery, q.scene)) for q in QUERIES]
    evaluation = Evaluator(also_protocols=("legacy", "strict"))(
        Painted(), loader(), Split("test", SCENES, picture, own), galleries={"one": cut(SCENES, own[:1], 3)}
    )
    assert set(evaluation.searches) == {"legacy", "one"}
    assert evaluation.searches["one"]["queries"] == 1 and evaluation.searches["legacy"]["mAP"] == 1.0
    assert evaluation.intervals == {"mAP": [1.0, 1.0], "top1": [1.0, 1.0]}


def test_thresholds_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match="low_score_threshold=0.6, score_threshold=0.5"):
        Evaluator(score_threshold=0.5, low_score_threshold=0.6)


def test_detections_from_elsewhere_are_measured_alike_but_their_suppression_is_unknown():
    rerank = ContextMatching(k1=1, k2=2)
    evaluation = Evaluator(rerank=rerank)(Painted(), loader(), SPLIT)
    again = Evaluator(rerank=rerank).measure(SPLIT, evaluation.detections, evaluation.query_embeddings)
    assert {**again.metrics, "gt_mAP": 1.0, "gt_top1": 1.0} == evaluation.metrics
    assert evaluation.protocol["nms"] == 0.4 and again.protocol["nms"] is None
    assert again.protocol["rerank"] == "ContextMatching(k1=1, k2=2, overlap=0.5)"


def test_queries_of_a_further_gallery_are_described_too():
    stranger = Query(1, PLACES[0], 2, np.array([0, 2]))
    evaluation = Evaluator()(Painted(), loader(), SPLIT, galleries={"hard": [stranger]})
    assert evaluation.searches["hard"]["mAP"] == 1.0 and len(evaluation.query_embeddings) == len(QUERIES)
    with pytest.raises(ValueError, match="is not among"):
        Evaluator().measure(
            SPLIT, evaluation.detections, evaluation.query_embeddings, galleries={"hard": [stranger]}
        )


def test_a_record_says_how_many_scenes_were_searched():
    cameras = [Scene(**{**vars(scene), "camera": index % 2}) for index, scene in enumerate(SCENES)]
    evaluation = Evaluator(also_protocols=["other_cameras"])(
        Painted(), loader(), Split("test", cameras, picture, QUERIES)
    )
    assert evaluation.searches["other_cameras"]["gallery_size"] == 1
    assert evaluation.searches["other_cameras"]["mode"] == "other_cameras"


def test_the_record_says_that_similarities_are_weighted_with_scores():
    plain, weighted = (
        Evaluator(confidence_weighted=weighs)(Painted(), loader(), SPLIT) for weighs in (False, True)
    )
    assert plain.protocol["similarity"] == "embedding"
    assert weighted.protocol["similarity"] == "embedding, times the detection's score"
