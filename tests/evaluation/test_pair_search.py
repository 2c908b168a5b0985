"""Search by pairs: cached or not the same, by the rules of every other search."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from psearch.evaluation.evaluator import Evaluator
from psearch.evaluation.pairwise_inference import PairSearch
from psearch.evaluation.similarities import ContextMatching
from psearch.types import Batch, Query, QueryBatch, Scene, Split
from tests import toys

HEIGHT, WIDTH = 64, 96
PARTS = [{}, {"qsse": False}, {"qsse": False, "qrpn": False}, {"qsim": False}]


def scene(index: int) -> Scene:
    rng = np.random.default_rng(index)
    corner = rng.uniform(0, [60, 20], (3, 2))
    boxes = np.concatenate([corner, corner + [16, 34]], axis=1).astype(np.float32)
    return Scene(f"s{index}", HEIGHT, WIDTH, boxes, np.array([0, 1, 2]), np.zeros(3, bool))


SCENES = [scene(index) for index in range(5)]
IMAGES = torch.randn(5, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
QUERIES = [
    Query(0, SCENES[0].boxes[0], 0, np.array([1, 2, 3])),
    Query(0, SCENES[0].boxes[1], 1, np.array([2, 4])),
    Query(3, SCENES[3].boxes[2], 2, np.array([0, 1, 4])),
]
SPLIT = Split("test", SCENES, lambda index: np.zeros((HEIGHT, WIDTH, 3), np.uint8), QUERIES)


def reads(only: Sequence[int] | None = None) -> Iterator[Batch]:
    wanted = list(range(5)) if only is None else list(only)
    for start in range(0, len(wanted), 2):
        some = wanted[start : start + 2]
        boxes = [torch.from_numpy(SCENES[i].boxes) for i in some]
        sizes = torch.tensor([[HEIGHT, WIDTH]] * len(some))
        nothing = [torch.zeros(3, dtype=torch.bool)] * len(some)
        ids = [torch.arange(3)] * len(some)
        yield Batch(IMAGES[some], sizes, torch.ones(len(some)), boxes, ids, nothing, some)


def found_by(network, **options):
    search = PairSearch(network, reads, **options)
    return search(
        SCENES,
        QUERIES,
        {"own": QUERIES},
        score_threshold=0.05,
        nms_threshold=0.4,
        max_detections=300,
        device="cpu",
    )


@pytest.mark.parametrize("parts", PARTS)
def test_what_is_done_once_per_picture_changes_no_answer(parts):
    """The search, which encodes each picture once, gives a pair the output of one plain forward."""
    network = toys.qeeps(**parts).eval()
    for query, of_scene in zip(QUERIES, found_by(network), strict=True):
        assert set(of_scene) == set(query.gallery.tolist())
        for index, found in of_scene.items():
            box = torch.from_numpy(query.box)[None]
            one = torch.ones(1)
            query_batch = QueryBatch(
                IMAGES[[query.scene]], one[:, None], one, box, torch.tensor([query.identity])
            )
            with torch.inference_mode():
                output = network(IMAGES[[index]], query=query_batch)
            if output.similarity is not None:
                similar = output.similarity.sigmoid()
            else:
                similar = output.embeddings @ output.query_embeddings[0]
            scores = output.box_logits.softmax(dim=1)[:, 1].numpy()
            assert len(found.boxes) > 0
            for score, value in zip(found.scores, found.embeddings[:, 0], strict=True):
                place = np.abs(scores - score).argmin()
                np.testing.assert_allclose(scores[place], score, atol=1e-5)
                np.testing.assert_allclose(similar[place], value, atol=1e-4)


@pytest.mark.parametrize("options", [{"batch_size": 1}, {"batch_size": 2}, {"memory_bytes": 1}])
def test_batches_and_memory_change_no_answer(options):
    network = toys.qeeps().eval()
    for one, other in zip(found_by(network), found_by(network, **options), strict=True):
        assert set(one) == set(other)
        for index in one:
            np.testing.assert_allclose(one[index].boxes, other[index].boxes, atol=1e-3)
            np.testing.assert_allclose(one[index].embeddings, other[index].embeddings, atol=1e-4)


def test_a_scene_is_encoded_once_for_all_queries_that_fit_in_memory():
    network, encoded = toys.qeeps(qsse=False).eval(), []
    encode_scene = network.encode_scene
    network.encode_scene = lambda images: encoded.append(len(images)) or encode_scene(images)
    found_by(network)
    assert sum(encoded) == 5


def test_the_record_says_that_the_similarity_depends_on_the_query():
    network = toys.qeeps()
    evaluator = Evaluator(score_threshold=0.05)
    plain = evaluator(network, reads(), SPLIT)
    asked = evaluator(network, reads(), SPLIT, pairs=PairSearch(network, reads))
    assert plain.protocol["similarity"] == "embedding"
    assert asked.protocol["similarity"] == "query-conditioned (qsse, qrpn, qsim)"
    assert network.training
    assert asked.metrics["gt_mAP"] == plain.metrics["gt_mAP"]
    assert asked.metrics["detection_AP"] == plain.metrics["detection_AP"]
    assert {"mAP", "top1"} <= set(asked.metrics) and set(asked.searches) == {"legacy"}
    boxes = asked.result.ranking.boxes
    assert boxes.shape == (3, 20, 4) and (boxes[:, 0, 2] > boxes[:, 0, 0]).all()


def test_a_further_gallery_is_searched_in_the_same_pass():
    network = toys.qeeps()
    wider = [replace(query, gallery=np.array([1, 2, 4])) for query in QUERIES]
    search = PairSearch(network, reads)
    said = Evaluator(score_threshold=0.05)(network, reads(), SPLIT, galleries={"wide": wider}, pairs=search)
    assert said.searches["wide"]["gallery_size"] == 3


def test_context_matching_does_not_go_with_pairs():
    network = toys.qeeps()
    with pytest.raises(ValueError, match="rerank=null"):
        Evaluator(rerank=ContextMatching())(network, reads(), SPLIT, pairs=PairSearch(network, reads))


def test_an_answer_that_is_no_number_names_the_scene():
    network = toys.qeeps()
    network.qsim.similarity.bias.data.fill_(float("nan"))
    with pytest.raises(ValueError, match="scene s1: .*diverged"):
        found_by(network)
