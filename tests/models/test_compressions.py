"""Every compression size tells the truth about its taps, trains as a student and answers as a teacher."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from psearch.build import CONF, build
from psearch.distill.distillation import Distillation
from psearch.distill.features import Features
from psearch.distill.regions import Regions
from psearch.distill.teacher import Teacher
from psearch.losses.identity import IdentityMemory
from psearch.models.mobile import MobileC4
from psearch.models.oim import OIMNetwork
from psearch.tasks.search import PARTS, SearchTask
from psearch.tasks.task import DatasetFacts
from psearch.types import EVERYTHING
from tests import toys
from tests.distill.test_terms import people

SIZES = sorted(
    path.stem
    for path in CONF.glob("compression/[!_]*.yaml")
    if path.stem != "crops" and "imagenet" not in path.stem
)
FACTS = DatasetFacts(identities=5, anchor_sizes=(16.0, 24.0), aspect=2.0)


def task(size: str) -> SearchTask:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        compression = OmegaConf.to_container(compose("train", [f"compression={size}"]).compression)
    assert isinstance(compression, dict)
    compression["region_sampler"]["batch_size_per_image"] = 4
    compression["proposals"] |= {
        "pre_nms_top_n": 50,
        "post_nms_top_n": 8,
        "pre_nms_top_n_train": 50,
        "post_nms_top_n_train": 8,
    }
    torch.manual_seed(0)
    return SearchTask(
        facts=FACTS,
        compression=compression,
        network=partial(OIMNetwork, embedding=16),
        memory=IdentityMemory,
        anchors={"sizes": None, "aspects": None},
        weights={},
        loading={},
    )


@pytest.mark.parametrize("size", SIZES)
def test_taps_are_true_and_one_step_trains(size: str) -> None:
    student, batch = task(size), toys.batch()
    output = student.network(batch.images, lambda propose: batch.boxes)
    for name, tap in student.network.taps.items():
        assert output.features[name].shape == (2, tap.channels, 64 // tap.stride, 96 // tap.stride)
    maps = student.network.backbone.head(torch.zeros(2, tap.channels, *student.network.backbone.region_size))
    assert maps.shape[1:] == (student.network.backbone.region_channels, *student.network.backbone.region_map)
    before = {name: p.detach().clone() for name, p in student.network.named_parameters()}
    losses = student(batch)
    optimizer = torch.optim.SGD(student.parameters(), lr=1e-3)
    sum(losses.values(), torch.zeros(())).backward()
    optimizer.step()
    moved = [name for name, p in student.network.named_parameters() if not torch.equal(p, before[name])]
    assert all(loss.isfinite() for loss in losses.values())
    assert any(name.startswith("backbone.c2") for name in moved) and any("head" in name for name in moved)


@pytest.mark.parametrize("size", [size for size in SIZES if size not in ("tiny", "small", "r50", "r34")])
def test_a_size_teaches_and_learns_at_the_same_stride(size: str) -> None:
    other = task("r18_quarter")
    if task(size).network.taps["c4"].stride != other.network.taps["c4"].stride:
        pytest.skip("of another stride")
    for student, network in ((task(size), other.network), (other, task(size).network)):
        known = Teacher(
            network, name="t", fingerprint="", provides=PARTS & EVERYTHING, identity_features=people
        )
        terms = {"features": Features(), "regions": Regions()}
        student.learn_from(Distillation([known], terms, student=student.network))
        losses = student(toys.batch())
        assert losses["distill/features"] > 0 and losses["distill/regions"] > 0
        student.distillation = None


def test_an_unknown_small_network_is_refused() -> None:
    with pytest.raises(ValueError, match="name=mobilenet_v9 is no known small network; choose from"):
        MobileC4(name="mobilenet_v9")
    with pytest.raises(ValueError, match="frozen_norm"):
        build({"_target_": "psearch.models.mobile.MobileC4", "name": "mobilenet_v2", "frozen_norm": True})
