"""How a person looks in one picture: a pose and a view of an identity, drawn back to front."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from psearch.data.synthetic.accessories import (
    draw_backpack,
    draw_carried,
    draw_hair_behind,
    draw_head,
    draw_scarf,
    draw_shoulder_bag,
    draw_straps,
)
from psearch.data.synthetic.appearance import Identity
from psearch.data.synthetic.draws import Draws, scaled, turn
from psearch.data.synthetic.figure import Figure, Place
from psearch.data.synthetic.garments import wear_lower, wear_upper

VIEWS = 24
PHASES = 16
ARMS = ("swing", "swing", "swing", "bent", "phone")


@dataclass(frozen=True)
class Pose:
    """What changes from picture to picture.

    facing: share of a full turn, 0 towards the camera. phase: share of a step. stride: how far the feet
    swing, in body heights. arms: what the left and the right arm do ("swing", "bent" or "phone").
    """

    facing: float
    phase: float
    stride: float
    arms: tuple[str, str]


def draw_pose(draws: Draws) -> Pose:
    """Mostly walking, in any direction."""
    walking = draws.chance(0.75)
    return Pose(
        facing=draws.below(VIEWS) / VIEWS,
        phase=draws.below(PHASES) / PHASES,
        stride=draws.between(0.10, 0.17) if walking else draws.between(0.0, 0.03),
        arms=(draws.pick(ARMS), draws.pick(ARMS)),
    )


def draw_person(who: Identity, pose: Pose, scale: float, light: float) -> tuple[Image.Image, int, int]:
    """An RGBA picture of the person, and the column and row of the soles' middle in it.

    scale: pixels per body height. light: -1 (from the left) to 1 (from the right).
    """
    figure = Figure(scale, pose.facing, light)
    hands = {side: hand_of(who, pose, side) for side in (1, -1)}
    near, far = (1, -1) if figure.sin < 0 else (-1, 1)
    if figure.cos >= 0:
        draw_back(figure, who)
    draw_arm(figure, who, far, hands[far])
    for side in (far, near):
        draw_leg(figure, who, pose, side)
    wear_lower(figure, who, pose.stride)
    wear_upper(figure, who)
    draw_front(figure, who)
    if figure.cos < 0:
        draw_hair_behind(figure, who)
        draw_head(figure, who)
        draw_back(figure, who)
    else:
        draw_head(figure, who)
    draw_arm(figure, who, near, hands[near])
    return figure.finished()


def draw_back(figure: Figure, who: Identity) -> None:
    """What hangs on a person's back."""
    if figure.cos >= 0:
        draw_hair_behind(figure, who)
    if who.bag == "backpack":
        draw_backpack(figure, who)


def draw_front(figure: Figure, who: Identity) -> None:
    """What is worn over the trunk."""
    if who.bag == "backpack" and figure.cos > 0.1:
        draw_straps(figure, who)
    if who.bag == "shoulder":
        draw_shoulder_bag(figure, who)
    figure.limb((0.0, 0.87, 0.0), (0.0, 0.835, 0.0), (0.035, 0.04), who.skin)
    if who.scarf:
        draw_scarf(figure, who)


def hand_of(who: Identity, pose: Pose, side: int) -> tuple[Place, Place]:
    """Elbow and hand of one arm; side is 1 for the person's left."""
    lateral = side * (who.shoulder + 0.015)
    swing = -side * pose.stride * 0.75 * turn(pose.phase)[1]
    action = pose.arms[0 if side > 0 else 1]
    if side < 0 and who.bag in ("handbag", "trolley"):
        action, swing = "swing", swing * 0.4
    if action == "bent":
        return (lateral * 1.15, 0.64, -0.03), (lateral * 0.75, 0.60, 0.12)
    if action == "phone":
        return (lateral * 1.2, 0.68, 0.04), (lateral * 0.55, 0.86, 0.08)
    return (lateral * 1.1, 0.65, swing * 0.4 - 0.01), (lateral * 1.12, 0.47, swing + 0.02)


def draw_arm(figure: Figure, who: Identity, side: int, joints: tuple[Place, Place]) -> None:
    """Sleeve, arm and hand, and what the hand carries."""
    elbow, hand = joints
    shoulder = (side * who.shoulder * 0.94, 0.795, 0.0)
    sleeve = who.skin if who.upper == "dress" else who.upper_colour
    if who.upper == "vest":
        sleeve = who.upper_second
    if side < 0:
        draw_carried(figure, who, hand)
    figure.limb(elbow, hand, (0.030, 0.025), who.skin if who.upper in ("tshirt", "dress") else sleeve)
    figure.limb(shoulder, elbow, (0.040, 0.033), sleeve)
    x, y = figure.pixel(hand)
    radius = 0.027 * figure.scale
    figure.ball((x, y + round(0.5 * radius)), radius, radius, who.skin)


def draw_leg(figure: Figure, who: Identity, pose: Pose, side: int) -> None:
    """Thigh, shin and shoe; the foot that moves forward is lifted."""
    along, forth = turn(pose.phase)
    swing = side * pose.stride * forth
    lift = max(0.0, side * along) * pose.stride * 0.4
    lateral = side * who.hip * 0.52
    hip, foot = (lateral, who.leg + 0.02, 0.0), (lateral, 0.035 + lift, swing)
    knee = (lateral * 1.05, (hip[1] + foot[1]) / 2 + 0.01, swing * 0.5 + lift * 0.9 + 0.01)
    bare = who.upper == "dress" or who.lower in ("skirt", "long_skirt")
    thigh = who.skin if bare else who.lower_colour
    shin = who.skin if bare or who.lower == "shorts" else who.lower_colour
    figure.limb(knee, foot, (0.038, 0.029), shin)
    figure.limb(hip, knee, (0.056, 0.046 if who.lower == "shorts" else 0.041), thigh)
    if who.lower_stripe and not bare:
        outer = side * 0.045
        figure.stroke(
            [(hip[0] + outer, hip[1], 0.0), (knee[0] + outer * 0.8, knee[1], knee[2])],
            0.022,
            who.lower_second,
        )
    if who.boots:
        figure.limb((knee[0], foot[1] + 0.13, (knee[2] + foot[2]) / 2), foot, (0.040, 0.034), who.shoes)
    toe = (lateral * 1.2, foot[1] - 0.012, swing + 0.075)
    figure.limb((lateral, foot[1] - 0.008, swing - 0.012), toe, (0.030, 0.024), scaled(who.shoes, 0.95))
