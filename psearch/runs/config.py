"""A run's resolved config, parsed once: past this file nobody indexes it by a string.

Nodes with a `_target_` stay plain mappings until `psearch.build.build` makes objects of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psearch.runs import places

Node = Mapping[str, Any]
"""A plain mapping that `psearch.build.build` makes an object of."""

RECIPE = ("student", "compression", "trainer", "seed")
"""What a training is made from, besides its data."""

SEARCHES = frozenset({"gallery_size", "queries", "subset"})
"""Keys of a data set that decide what is searched in it, not what is trained on."""


@dataclass(frozen=True, eq=False)
class Recipe:
    """Everything that decides what a training produces, for a student and for a teacher alike.

    plain: the same as plain data, as `config.yaml` and checkpoints keep it and as it is hashed.
    """

    data: Node
    student: Node
    compression: Node
    trainer: Node
    seed: int
    plain: Mapping[str, Any] = field(repr=False)

    @classmethod
    def parse(cls, plain: Mapping[str, Any]) -> Recipe:
        """ValueError for a config that lacks one of its parts."""
        return cls(**_recipe(plain, "this config"), plain=plain)

    @property
    def anchor_count(self) -> int:
        """Anchor sizes that are read off the training boxes."""
        return int((self.student.get("anchors") or {}).get("count", 4))


@dataclass(frozen=True, eq=False)
class TeacherConfig:
    """A teacher that a run names: a recipe to train it by, or a checkpoint that is there already.

    name: its word in `conf/teacher`. fingerprint: digest of the checkpoint's weights.
    """

    name: str
    recipe: Recipe | None
    checkpoint: Path | None = None
    fingerprint: str = ""

    @classmethod
    def parse(cls, name: str, node: Any, data: Node) -> TeacherConfig:
        """data: what the run's student is trained on. ValueError for a node that is no recipe."""
        node = node if isinstance(node, Mapping) else {}
        if node.get("checkpoint"):
            return cls(name, None, Path(node["checkpoint"]), str(node.get("fingerprint", "")))
        if missing := sorted(set(RECIPE) - set(node)):
            raise ValueError(
                f"teacher.{name} is no recipe, it has no {', '.join(missing)}: a file of conf/teacher opens "
                f"with '# @package teacher.<its name>' and has {', '.join(RECIPE)}"
            )
        trained_on = {key: value for key, value in data.items() if key not in SEARCHES}
        return cls(name, Recipe.parse({"data": trained_on} | {key: node[key] for key in RECIPE}))


@dataclass(frozen=True, eq=False)
class EvaluationConfig:
    """How networks are measured. split: test or val. galleries: further ones (sizes or names)."""

    split: str
    galleries: tuple[int | str, ...]
    evaluator: Node

    @classmethod
    def parse(cls, node: Node) -> EvaluationConfig:
        """From the plain node of a file in `conf/evaluation`; ValueError if it is none."""
        galleries = node.get("galleries") or ()
        if not isinstance(galleries, list | tuple):
            raise ValueError(f"evaluation.galleries={galleries}: write a list, as in [50,-1]")
        try:
            return cls(str(node["split"]), tuple(galleries), node["evaluator"])
        except KeyError as error:
            raise ValueError(f"evaluation has no {error}: choose evaluation=strict, or add it") from None


@dataclass(frozen=True, eq=False)
class RunConfig(Recipe):
    """One run of a study: a recipe, and how it is taught, measured and watched.

    teachers: by name; terms: the distillation terms by name. stage: all, or teacher to make only those
    ready. directory: None for one whose name is made from the config. rerun: "stale" to make finished runs
    again whose code or teachers are others now.
    """

    teachers: Mapping[str, TeacherConfig]
    terms: Mapping[str, Node]
    evaluation: EvaluationConfig
    logger: Node
    study: str
    directory: str | None
    stage: str
    rerun: str | None
    device: str

    @classmethod
    def parse(cls, plain: Mapping[str, Any]) -> RunConfig:
        """From what `psearch.config.compose.resolved` made, or a run's `config.yaml` keeps. ValueError for a
        config that lacks one of its parts."""
        whole = "the config of this run"
        for key in ("evaluation", "logger", "study", "device"):
            if key not in plain:
                raise ValueError(f"{whole} has no {key}")
        data = _recipe(plain, whole)["data"]
        teachers = (plain.get("teacher") or {}).items()
        return cls(
            **_recipe(plain, whole),
            plain=plain,
            teachers={str(name): TeacherConfig.parse(str(name), node, data) for name, node in teachers},
            terms=plain.get("distill") or {},
            evaluation=EvaluationConfig.parse(plain["evaluation"]),
            logger=plain["logger"],
            study=str(plain["study"]),
            directory=plain.get("directory"),
            stage=plain.get("stage", "all"),
            rerun=plain.get("rerun"),
            device=str(plain["device"]),
        )

    @property
    def outputs(self) -> Path:
        """The folder of all outputs."""
        return places.outputs(self.plain.get("outputs"))

    @property
    def only_teachers(self) -> bool:
        """Whether only the teachers are to be made ready."""
        return self.stage == "teacher"

    @property
    def wants_teachers(self) -> bool:
        """Whether some term reads them, or they are trained for later."""
        return bool(self.terms) or self.only_teachers


@dataclass(frozen=True, eq=False)
class EvaluateConfig:
    """What `psearch evaluate` is told: `conf/evaluate.yaml`, where the keys are explained."""

    checkpoint: Path | None
    detections: Path | None
    data: Node | None
    evaluation: EvaluationConfig
    output: Path | None
    save_detections: bool
    workers: int
    device: str
    plain: Mapping[str, Any] = field(repr=False)

    @property
    def outputs(self) -> Path:
        """The folder of all outputs."""
        return places.outputs(self.plain.get("outputs"))

    @classmethod
    def parse(cls, plain: Mapping[str, Any]) -> EvaluateConfig:
        """From the resolved config. ValueError where nothing or both a checkpoint and detections are named,
        or detections without a data set."""
        checkpoint, detections, data = (plain.get(key) for key in ("checkpoint", "detections", "data"))
        if bool(checkpoint) == bool(detections):
            raise ValueError("name what to evaluate: either checkpoint=FILE.pt or detections=FILE.npz")
        if detections and not data:
            raise ValueError("detections= are of a data set: add data=… (and its data.root=…) to the command")
        node = dict(plain["evaluation"])
        if plain.get("protocol"):
            node["evaluator"] = {**node["evaluator"], "protocol": plain["protocol"]}
        return cls(
            checkpoint=Path(checkpoint) if checkpoint else None,
            detections=Path(detections) if detections else None,
            data=data or None,
            evaluation=EvaluationConfig.parse(node),
            output=Path(plain["output"]) if plain.get("output") else None,
            save_detections=bool(plain.get("save_detections")),
            workers=int(plain.get("workers") or 0),
            device=str(plain["device"]),
            plain={**plain, "evaluation": node},
        )


def _recipe(plain: Mapping[str, Any], what: str) -> dict[str, Any]:
    if missing := sorted({"data", *RECIPE} - set(plain)):
        raise ValueError(f"{what} has no {', '.join(missing)}")
    return {key: plain[key] for key in ("data", *RECIPE)}
