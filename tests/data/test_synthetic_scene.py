"""A synthetic scene is a function of its key: the same pixels on every machine, alone or in company."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from psearch.data.synthetic.appearance import SIBLINGS, numbered_identity
from psearch.data.synthetic.cache import Recipe, render_split
from psearch.data.synthetic.draws import Draws
from psearch.data.synthetic.lens import View
from psearch.data.synthetic.person import draw_person, draw_pose
from psearch.data.synthetic.scene import (
    HIDDEN,
    NOBODY,
    Composition,
    Rendered,
    annotated,
    box_of,
    render_scene,
)
from psearch.data.synthetic.staging import Plan, Sprite

GOLDEN = "9f72e0d3b2af83fc015ca9d7f09a3baca5fa418595c5403915cfda0fe873f317"
SMALL = Plan("test", 2, scenes=12, identities=8, first=0)


def digest(scenes: list[Rendered]) -> str:
    sha = hashlib.sha256()
    for scene in scenes:
        for part in (scene.pixels, scene.boxes, scene.ids, scene.ignore):
            sha.update(part.tobytes())
    return sha.hexdigest()


def test_pixels_and_boxes_are_those_of_every_other_machine() -> None:
    scenes = [
        render_scene(i, [3 * i, 3 * i + 1, 3 * i + 2], seed=0, split=2, height=128, width=192)
        for i in range(6)
    ]
    assert digest(scenes) == GOLDEN


def test_a_scene_does_not_depend_on_the_scenes_beside_it() -> None:
    recipe = Recipe(0, 64, 96, (SMALL,))
    together = list(render_split(recipe, SMALL))
    alone = render_scene(7, SMALL.cast(0)[7], seed=0, split=2, height=64, width=96)
    assert digest([together[7]]) == digest([alone])
    assert SMALL.cast(0) == replace(SMALL, scenes=40).cast(0)[: SMALL.scenes]


def test_the_seed_decides() -> None:
    one, other = (render_scene(0, [0, 1], seed=seed, split=0, height=64, width=96) for seed in (0, 1))
    assert not np.array_equal(one.pixels, other.pixels)


@pytest.mark.parametrize("height, width", [(64, 96), (128, 192), (96, 64)])
def test_what_a_scene_holds(height: int, width: int) -> None:
    for index, cast in enumerate(SMALL.cast(0)):
        scene = render_scene(index, cast, seed=0, split=2, height=height, width=width)
        assert scene.pixels.shape == (height, width, 3) and scene.pixels.dtype == np.uint8
        assert scene.boxes.dtype == np.float32 and scene.ids.dtype == np.int64
        assert (scene.boxes[:, :2] >= 0).all() and (scene.boxes[:, 2:] <= [width, height]).all()
        assert (scene.boxes[:, 2:] > scene.boxes[:, :2]).all()
        named = scene.ids[scene.ids != NOBODY].tolist()
        assert len(named) == len(set(named)) and set(named) <= set(cast)
        assert len(scene.ids) <= len(cast) + 2
        assert (scene.visible[~scene.ignore] >= HIDDEN).all()


def test_who_cannot_be_seen_is_neither_target_nor_error() -> None:
    scene = Composition(
        canvas=Image.new("RGB", (4, 4)),
        boxes=np.zeros((3, 4), np.float32),
        ids=np.array([5, 6, 7]),
        visible=np.array([0.9, 0.2, 0.0]),
    )
    rendered = annotated(scene, np.zeros((2, 2, 3), np.uint8), camera=0)
    assert rendered.ids.tolist() == [5, NOBODY]
    assert rendered.ignore.tolist() == [False, True]


def test_a_box_is_the_whole_person_cut_to_the_picture() -> None:
    """The feet of a person below the lower edge are cut off; what hides behind others is not."""
    who = numbered_identity(0, 0, 0)
    image, middle, floor = draw_person(who, draw_pose(Draws(1)), scale=100.0, light=0.6)
    view = View(height=200, width=300, horizon=50, eye=1.6, focal=250)
    inside = box_of(Sprite(image, (150, 180), (middle, floor), 100.0, 0), view)
    lowered = box_of(Sprite(image, (150, 230), (middle, floor), 100.0, 0), view)
    assert 90 * who.stature < 2 * (inside[3] - inside[1]) < 125
    assert lowered[3] == view.height / 2 and lowered[1] == pytest.approx(inside[1] + 25)


def test_siblings_share_garment_colours_and_differ_otherwise() -> None:
    family = [numbered_identity(0, 0, number) for number in range(SIBLINGS)]
    assert len({(one.upper_colour, one.lower_colour) for one in family}) == 1
    assert len({(one.upper, one.upper_pattern, one.bag, one.hat, one.haircut) for one in family}) == SIBLINGS
    assert numbered_identity(0, 0, SIBLINGS).upper_colour != family[0].upper_colour


def test_an_emblem_is_seen_from_the_front_only() -> None:
    who = replace(numbered_identity(0, 0, 0), upper="shirt", upper_colour=(0, 0, 0), scarf=False, bag="none")
    pose = draw_pose(Draws(3))
    changes = []
    for facing in (0.0, 0.5):
        plain, emblem = (
            np.asarray(
                draw_person(replace(who, upper_pattern=p), replace(pose, facing=facing), 120.0, 0.5)[0]
            )
            for p in ("plain", "emblem")
        )
        changes.append(int((plain != emblem).any(axis=-1).sum()))
    assert changes[0] > 50 and changes[1] == 0
