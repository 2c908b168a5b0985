"""Cameras: where a street point falls on the picture, and what light and sensor make of its colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from psearch.data.synthetic.draws import CAMERA, Draws

CAMERAS = 6
BODY = 1.7
"""Height in metres of a body of stature 1."""


@dataclass(frozen=True)
class View:
    """A pinhole view of the street: metres (right, up, away) to pixels of the canvas.

    horizon: row of the horizon. eye: height of the camera in metres. focal: pixels per metre at 1 m.
    """

    height: int
    width: int
    horizon: float
    eye: float
    focal: float

    def pixel(self, right: float, up: float, away: float) -> tuple[int, int]:
        """Where a point falls; `away` must be positive."""
        scale = self.focal / away
        return round(self.width / 2 + right * scale), round(self.horizon + (self.eye - up) * scale)

    def metre(self, away: float) -> float:
        """Pixels per metre at that distance."""
        return self.focal / away

    def reach(self, away: float) -> float:
        """Half the width of the street, in metres, that is seen at that distance."""
        return self.width / 2 * away / self.focal


def draw_view(draws: Draws, height: int, width: int) -> View:
    """A view in which the soles of a body of three quarters of the picture are near its lower edge."""
    horizon = draws.between(0.13, 0.31) * height
    soles = draws.between(0.88, 1.04) * height
    eye = BODY * (soles - horizon) / (0.75 * height)
    return View(height, width, horizon, eye, focal=1.25 * height)


@dataclass(frozen=True)
class Sensor:
    """How a camera renders colours: gains per channel, tone curve, saturation, blur and noise."""

    gains: tuple[float, float, float]
    curve: float
    saturation: float
    twist: float
    blur: float
    noise: float


def camera_sensor(seed: int, camera: int) -> Sensor:
    """The lasting character of one of the cameras."""
    draws = Draws(seed, CAMERA, camera)
    warmth, tint = draws.between(-0.2, 0.2), draws.between(-0.06, 0.06)
    return Sensor(
        gains=(1 + warmth + tint, 1 - tint, 1 - warmth + tint),
        curve=draws.between(-0.1, 0.8),
        saturation=draws.between(0.55, 1.15),
        twist=draws.between(-0.18, 0.18),
        blur=draws.between(0.0, 0.14),
        noise=draws.between(2.0, 9.0),
    )


def photograph(draws: Draws, pixels: np.ndarray, sensor: Sensor) -> np.ndarray:
    """What the sensor makes of an ideal picture (h, w, 3) uint8: light, cast, tone, blur, noise.

    Only additions, multiplications and divisions in float32, which every machine rounds alike.
    """
    height, width = pixels.shape[:2]
    picture = pixels.astype(np.float32) * np.float32(1 / 255)
    picture *= light_field(draws, height, width)
    grey = (picture[..., 0] + picture[..., 1] + picture[..., 1] + picture[..., 2]) * np.float32(0.25)
    grey = grey[..., None]
    picture = grey + (picture - grey) * np.float32(sensor.saturation * draws.between(0.9, 1.1))
    twist = np.float32(sensor.twist + draws.between(-0.06, 0.06))
    picture += twist * (picture[..., (1, 2, 0)] - picture[..., (2, 0, 1)])
    exposure = draws.between(0.75, 1.2)
    gains = [np.float32(gain * exposure * draws.between(0.94, 1.06)) for gain in sensor.gains]
    picture *= np.array(gains, dtype=np.float32)
    np.clip(picture, 0, 1.6, out=picture)
    curve = np.float32(sensor.curve + draws.between(-0.15, 0.15))
    picture = picture * (1 + curve) / (1 + curve * picture)
    picture = softened(picture, sensor.blur * draws.between(0.5, 1.5))
    grain = draws.generator.integers(-128, 128, size=picture.shape, dtype=np.int8)
    picture = picture * 255 + grain * np.float32(sensor.noise * draws.between(0.5, 1.3) / 74)
    result: np.ndarray = (np.clip(picture, 0, 255) + np.float32(0.5)).astype(np.uint8)
    return result


def light_field(draws: Draws, height: int, width: int) -> np.ndarray:
    """Uneven light (h, w, 1): brighter towards one side and one end of the street."""
    across = np.linspace(-1, 1, width, dtype=np.float64)
    down = np.linspace(-1, 1, height, dtype=np.float64)
    row = 1 + draws.between(-0.16, 0.16) * across - draws.between(0, 0.10) * across * across
    column = 1 + draws.between(-0.10, 0.10) * down - draws.between(0, 0.08) * down * down
    return (column[:, None] * row).astype(np.float32)[..., None]


def softened(picture: np.ndarray, share: float) -> np.ndarray:
    """Each pixel gives a share of its light to each of its four neighbours."""
    weight, soft = np.float32(share), picture.copy()
    soft[1:] += weight * (picture[:-1] - picture[1:])
    soft[:-1] += weight * (picture[1:] - picture[:-1])
    soft[:, 1:] += weight * (picture[:, :-1] - picture[:, 1:])
    soft[:, :-1] += weight * (picture[:, 1:] - picture[:, :-1])
    return soft
