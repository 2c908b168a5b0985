"""A made-up street: scenes drawn on the fly, and searches in it answered at random."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from psearch.report.searches import Box, RankedSearch, Result
from psearch.types import Scene

QUERIES = 40


class FakeStreet:
    """Scenes drawn on the fly: four people each, their clothes decided by their identity."""

    def __init__(self, scenes: int = 24, people: int = 30, seed: int = 0) -> None:
        self.people = people
        generator = np.random.default_rng(seed)
        self.scenes = [self._scene(index, generator) for index in range(scenes)]

    def _scene(self, index: int, generator: np.random.Generator) -> Scene:
        left = np.array([20, 120, 220, 320]) + generator.integers(0, 40, 4)
        top = generator.integers(40, 90, 4)
        height = generator.integers(90, 140, 4)
        boxes = np.stack([left, top, left + height * 0.42, top + height], axis=1).astype(np.float32)
        ids = generator.permutation(self.people)[:4].astype(np.int64)
        return Scene(f"street_{index:03d}.jpg", 240, 400, boxes, ids, np.zeros(4, bool))

    def read(self, index: int) -> np.ndarray:
        scene = self.scenes[index]
        picture = Image.new("RGB", (scene.width, scene.height), (150 + index % 5 * 12, 160, 170))
        draw = ImageDraw.Draw(picture)
        draw.rectangle((0, 150, scene.width, scene.height), fill=(110, 108, 104))
        for x in range(0, scene.width, 57):
            draw.rectangle((x, 10 + (x * index) % 40, x + 40, 150), fill=(120 + x % 60, 110, 100 + index))
        for box, identity in zip(scene.boxes, scene.ids, strict=True):
            self._draw_person(draw, box, int(identity))
        return np.asarray(picture)

    def _draw_person(self, draw: ImageDraw.ImageDraw, box: np.ndarray, identity: int) -> None:
        x1, y1, x2, y2 = (float(v) for v in box)
        middle, head, third = (x1 + x2) / 2, (x2 - x1) * 0.22, (y2 - y1) / 3
        colours = [
            tuple(int(c) for c in np.random.default_rng(identity * 7 + i).integers(20, 240, 3))
            for i in (1, 2)
        ]
        draw.rectangle((x1 + 4, y1 + 2 * head, x2 - 4, y1 + 1.8 * third), fill=colours[0])
        draw.rectangle((x1 + 9, y1 + 1.8 * third, x2 - 9, y2), fill=colours[1])
        draw.ellipse((middle - head, y1, middle + head, y1 + 2 * head), fill=(222, 184, 150))

    def searches(self, *, skill: float, seed: int) -> tuple[list[RankedSearch], list[float]]:
        """All searches with their 12 best answers, and the AP of each; `skill` is what the right person's
        similarity gains over the others'."""
        generator = np.random.default_rng(seed)
        answers = [self._search(query, skill, generator) for query in range(QUERIES)]
        return [search for search, _ in answers], [ap for _, ap in answers]

    def _search(self, query: int, skill: float, generator: np.random.Generator) -> tuple[RankedSearch, float]:
        asked, person = query % len(self.scenes), query % 4
        scenes = np.repeat(np.arange(len(self.scenes)), 4)
        people = np.tile(np.arange(4), len(self.scenes))
        right = np.concatenate([scene.ids for scene in self.scenes]) == self.scenes[asked].ids[person]
        similarity = generator.normal(0.3, 0.15, len(right)) + skill * right
        order = np.argsort(-similarity)
        order = order[scenes[order] != asked]
        hits = right[order]
        precision = hits.cumsum() / np.arange(1, len(hits) + 1)
        results = tuple(
            Result(int(scenes[i]), self._box(scenes[i], people[i]), float(similarity[i]), bool(right[i]))
            for i in order[:12]
        )
        search = RankedSearch(query, asked, self._box(asked, person), results)
        return search, float(precision[hits].mean()) if hits.any() else 0.0

    def _box(self, scene: int, person: int) -> Box:
        x1, y1, x2, y2 = map(float, self.scenes[scene].boxes[person])
        return x1, y1, x2, y2
