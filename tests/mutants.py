"""Mistakes that somebody could make in the heart of the code, each of which some test must notice.

To add one: (name, text that is there exactly once, what to write in its place), under its file and the tests
that are to notice it. It must change what is computed; a mistake that cannot be seen from outside is none.
"""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """file: relative to the checkout. old: occurs in it exactly once. tests: as pytest takes them."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


Changes = tuple[tuple[str, str, str], ...]
Group = tuple[str, tuple[str, ...], Changes]
"""A file, the tests that are to notice, and the changes: name, old, new."""

# fmt: off
LOSSES: list[Group] = [
    ("psearch/losses/identity.py", ("tests/losses/test_identity.py",), (
        ("oim-momentum-swapped", "self.momentum * self.table[ids[now]] + (1 - self.momentum)",
                                 "(1 - self.momentum) * self.table[ids[now]] + self.momentum"),
        ("oim-queue-skip", "self.queue_ptr + skipped + torch", "self.queue_ptr + torch"),
        ("oim-queue-keeps-first", "embeddings[-size:]", "embeddings[:size]"),
        ("oim-head-counts-kept", "(self.queue_ptr + len(embeddings)) % size",
                                 "(self.queue_ptr + len(kept)) % size"),
        ("oim-head-stays", "self.queue_ptr.copy_(", "_ = ("),
        ("oim-queue-takes-all", "embeddings[ids == UNLABELLED])", "embeddings)"),
        ("oim-queue-not-in-loss", "torch.cat([self.table, self.queue])", "self.table"),
        ("oim-pull-reversed", "normalize(rows, dim=1), initial, self.anchor_strength",
                              "initial, normalize(rows, dim=1), self.anchor_strength"),
        ("oim-row-length", "self.table[ids[now]] = normalize(rows, dim=1)", "self.table[ids[now]] = rows"),
        ("oim-newest-first", "same.tril(-1)", "same.triu(1)"),
        ("oim-once-per-step", ".tril(-1).sum(dim=1)", ".tril(-1).sum(dim=1) * 0"),
        ("oim-first-identity-lost", "known = ids != UNLABELLED", "known = ids > 0"),
        ("oim-temperature", ".T / self.temperature", ".T * self.temperature"),
        ("oim-frozen-moves", "if not self.frozen:", "if True:"),
    )),
    ("psearch/losses/proposals.py", ("tests/losses/test_sampling.py",), (
        ("sampler-share", "[: round(count * share)]", "[:count]"),
        ("sampler-no-fill", "count - len(some)", "count - round(count * share)"),
        ("sampler-first-persons", "torch.randperm(positive, device=device)", "torch.arange(positive)"),
        ("sampler-first-background", "torch.randperm(negative, device=device)", "torch.arange(negative)"),
    )),
    ("psearch/losses/proposals.py", ("tests/losses/test_sampling.py",), (
        ("rpn-background", "bg_iou_thresh=self.bg_iou_thresh", "bg_iou_thresh=self.fg_iou_thresh"),
        ("rpn-best-forgotten", "allow_low_quality_matches=not self.shared_best",
                               "allow_low_quality_matches=False"),
        ("rpn-labels-swapped", "torch.ones_like(chosen), torch.zeros_like(rest)",
                               "torch.zeros_like(chosen), torch.ones_like(rest)"),
        ("rpn-box-by-persons", 'beta=1 / 9, reduction="sum") / count',
                               'beta=1 / 9, reduction="sum") / max(sum(map(len, wanted)), 1)'),
        ("rpn-box-beta", "beta=1 / 9", "beta=1.0"),
    )),
    ("psearch/losses/regions.py", ("tests/losses/test_sampling.py",), (
        ("region-foreground", "fg_iou_thresh=self.fg_iou_thresh", "fg_iou_thresh=self.bg_iou_thresh"),
        ("region-no-truth", "torch.cat([proposals, boxes[~ignore]])", "proposals"),
        ("region-ignored-truth", "boxes[~ignore]", "boxes"),
    )),
    ("psearch/losses/regions.py", ("tests/losses/test_criterion.py",), (
        ("region-box-by-persons", 'wanted, beta=1.0, reduction="sum") / count',
                                  'wanted, beta=1.0, reduction="sum") / max(int(person.sum()), 1)'),
        ("region-class-swapped", "person.long()", "1 - person.long()"),
    )),
    ("psearch/losses/criterion.py", ("tests/losses/test_criterion.py",), (
        ("criterion-background-is-somebody", "output.embeddings[targets.person], targets.ids[targets.person]",
                                             "output.embeddings, targets.ids"),
        ("criterion-forgets-to-remember", "self.memory.update(*map(distributed.gather_rows, seen))",
                                          "pass"),
    )),
    ("psearch/losses/guided.py", ("tests/losses/test_guided.py",), (
        ("qrpn-no-others", "round(size * self.others)", "0"),
        ("qrpn-others-are-wanted", "torch.zeros_like(wrong)", "torch.ones_like(wrong)"),
        ("qrpn-anybody", "person & (ids[matched.target] == wanted) if", "person if"),
        ("qrpn-sample-size", "count=size - few", "count=size"),
        ("qrpn-background", "& ~same, background", "& ~same, ~person"),
        ("qsim-anybody", "targets.person & (targets.ids == wanted)", "targets.person"),
        ("qsim-background", "targets.person & (targets.ids == wanted)", "targets.ids == wanted"),
    )),
    ("psearch/losses/reid.py", ("tests/losses/test_reid.py",), (
        ("reid-unlabelled", "known = ids != UNLABELLED", "known = ids >= UNLABELLED"),
        ("reid-smoothing", "label_smoothing=self.smoothing", "label_smoothing=0.0"),
        ("reid-temperature", ".T / self.temperature", ".T"),
        ("reid-prototype-length", "normalize(self.prototypes, dim=1)", "self.prototypes"),
    )),
]

BOXES: list[Group] = [
    ("psearch/boxes.py", ("tests/test_boxes.py",), (
        ("match-on-ignored-half", "(ignored > 0.4)", "(ignored > 0.5)"),
        ("match-on-ignored-over-real", " & (ignored > iou)", ""),
        ("match-ignored-is-real", "ious.masked_fill(ignore, 0.0)", "ious"),
        ("best-of-each-ignored", "xyxy[~skipped]", "xyxy"),
        ("decode-scale-unbounded", ".clamp(max=LARGEST_SCALE)", ""),
        ("encode-offset-doubled", "2:])) / 2", "2:]))"),
        ("clip-sides-swapped", "x1.clamp(0, width), y1.clamp(0, height)",
                               "x1.clamp(0, height), y1.clamp(0, width)"),
        ("region-targets-strict", "person.append(matched.iou >= fg", "person.append(matched.iou > fg"),
    )),
    ("psearch/boxes.py", ("tests/losses/test_sampling.py",), (
        ("foreground-strict", "person = matched.iou >= fg", "person = matched.iou > fg"),
        ("background-from-foreground-down", "(matched.iou < bg_iou_thresh)", "(matched.iou < fg_iou_thresh)"),
        ("background-ignored", " & ~matched.on_ignored", ""),
        ("best-forgotten", "person | _best_of_target(matched)", "person"),
        ("best-hardly-touches", "(iou > 0.1)", "(iou > 0)"),
    )),
]

TERMS = ("tests/distill/test_terms.py",)
DISTILL: list[Group] = [
    ("psearch/distill/distances.py", TERMS, (
        ("kl-reversed", "kl_div(log_of, log_to,", "kl_div(log_to, log_of,"),
        ("kl-temperature-squared", " * temperature**2", ""),
        ("kl-sum-of-rows", " / max(len(log_of), 1)", ""),
    )),
    ("psearch/distill/decoupled.py", TERMS, (
        ("dkd-no-others", "self.beta * soft_kl(", "0 * soft_kl("),
        ("dkd-rest-at-another-temperature", "dim=1) * self.temperature", "dim=1)"),
    )),
    ("psearch/distill/distances.py", TERMS, (
        ("bounded-no-margin", "error + margin > teacher_error", "error > teacher_error"),
        ("bounded-difference", "error, torch.zeros_like", "error - teacher_error, torch.zeros_like"),
    )),
    ("psearch/distill/embeddings.py", TERMS, (
        ("embeddings-sum", " / max(len(distances), 1)", ""),
    )),
    ("psearch/distill/features.py", TERMS, (
        ("features-sum", "mse_loss(student, teacher)", 'mse_loss(student, teacher, reduction="sum")'),
        ("features-without-adapter", "always_adapts = True", "always_adapts = False"),
    )),
    ("psearch/distill/taps.py", TERMS, (
        ("taps-mean", "torch.stack(distances).sum()", "torch.stack(distances).mean()"),
    )),
    ("psearch/distill/fgd.py", TERMS, (
        ("fgd-attention-of-student", "which = attention(teacher,", "which = attention(student,"),
        ("fgd-background-not-shared", "empty / empty.sum(dim=(1, 2), keepdim=True).clamp(min=1)", "empty"),
        ("fgd-sum-of-images", "* globally) / len(student)", "* globally)"),
        ("fgd-no-relation", " + self.relation * globally", ""),
        ("fgd-ignored-people", "boxes[~ignore] * scale", "boxes * scale"),
        ("fgd-last-box-wins", "inside.clamp_(min=", "inside.fill_("),
    )),
    ("psearch/distill/pkd.py", TERMS, (
        ("pkd-not-halved", ") / 2\n", ")\n"),
        ("pkd-mean-stays", "(rows - rows.mean(dim=1, keepdim=True))", "rows"),
    )),
    ("psearch/distill/cwd.py", TERMS, (
        ("cwd-over-channels", "b c h w -> (b c) (h w)", "b c h w -> (b h w) c"),
    )),
    ("psearch/distill/objectness.py", TERMS, (
        ("kd-objectness-weigh", 'weights["rpn_object"] * (1 - soft)', 'weights["rpn_object"] * soft'),
        ("kd-objectness-mu", "(1 - self.mu(self.epoch)) * soft +", "self.mu(self.epoch) * soft +"),
        ("kd-objectness-half-a-person", ">= self.fg_iou_thresh", ">= 0.5"),
        ("kd-objectness-nu", "self.nu(self.epoch) * bounded", "bounded"),
        ("kd-objectness-students-choice", "torch.maximum(student.objectness.detach(), teacher.objectness)",
                                          "student.objectness.detach()"),
        ("kd-objectness-teachers-choice", "torch.maximum(student.objectness.detach(), teacher.objectness)",
                                          "teacher.objectness"),
    )),
    ("psearch/distill/regions.py", TERMS, (
        ("kd-regions-person-weighs-more", "weights[:, 0] = ", "weights[:, 1] = "),
        ("kd-regions-temperature", "teacher.float() / self.temperature", "teacher.float()"),
        ("kd-regions-heavy-weight", "min(self.weight, 1.0)", "self.weight"),
        ("kd-regions-mu", "(1 - self.mu(self.epoch)) * soft.sum()", "self.mu(self.epoch) * soft.sum()"),
    )),
    ("psearch/distill/relations.py", TERMS, (
        ("relations-mean", "(student - teacher).square().sum()", "(student - teacher).square().mean()"),
        ("pairs-not-unit", "(normalize(student, dim=1) - normalize(teacher, dim=1))",
                           "(student - teacher)"),
        ("pairs-by-rows", "max(student.numel(), 1)", "max(len(student), 1)"),
    )),
    ("psearch/distill/prototypes.py", TERMS, (
        ("prototypes-students-table", "similarities(people.teacher, self.table)",
                                      "similarities(people.teacher, table)"),
        ("prototypes-reversed", "to_teacher = soft_kl(logits, teacher_logits,",
                                "to_teacher = soft_kl(teacher_logits, logits,"),
        ("prototypes-half-of-both", "to_teacher + to_student}", "to_teacher}"),
    )),
    ("psearch/distill/triplets.py", TERMS, (
        ("triplets-no-margin", "self.margin + apart.diagonal()", "apart.diagonal()"),
        ("triplets-farthest", "others.amin(dim=1)", "apart.amax(dim=1)"),
        ("triplets-same-person", "people.ids[:, None] == people.ids[None]", "torch.eye(len(apart)).bool()"),
    )),
    ("psearch/distill/foreground.py", TERMS, (
        ("foreground-unlabelled", "targets.person & (targets.ids != UNLABELLED) if", "targets.person if"),
    )),
    ("psearch/distill/identities.py", ("tests/distill/test_identities.py",), (
        ("table-mean-length", "normalize(features.mean(dim=0), dim=0)", "features.mean(dim=0)"),
        ("table-outlier", ".argmax()", ".argmin()"),
        ("table-pull-always", 'anchor_strength if update == "anchored" else 0.0', "anchor_strength"),
        ("table-never-frozen", 'self.frozen = update == "frozen"', "self.frozen = False"),
    )),
    ("psearch/distill/teacher.py", TERMS, (
        ("teacher-in-training-mode", "network.eval().requires", "network.train().requires"),
    )),
    ("psearch/distill/teacher.py", ("tests/distill/test_identities.py",), (
        ("teacher-learns", ".requires_grad_(False)", ""),
    )),
    ("psearch/distill/term.py", ("tests/distill/test_distillation.py",), (
        ("schedule-goes-on", "min(epoch / self.epochs, 1.0)", "epoch / self.epochs"),
    )),
    ("psearch/distill/distillation.py", ("tests/distill/test_distillation.py",), (
        ("teacher-asked-for-last-term", "wanted.get(teacher, frozenset()) | term.needs", "term.needs"),
    )),
]

TRAINER = ("tests/engine/test_trainer.py",)
RESUME = tuple(  # others of that file start processes, which takes long
    f"tests/engine/test_resume.py::{name}"
    for name in (
        "test_a_kill_costs_the_work_since_the_last_epoch",
        "test_seconds_add_up_over_attempts",
        "test_with_accumulation_it_stops_where_no_gradient_is_pending",
        "test_a_validation_that_was_killed_is_made_up_for",
        "test_a_damaged_checkpoint_costs_an_epoch",
    )
)
LOOP: list[Group] = [
    ("psearch/engine/loop.py", TRAINER, (
        ("reseed-per-epoch", "_mix(self.seed, self.steps)", "_mix(self.seed, self.state.step)"),
        ("reseed-without-seed", "_mix(self.seed, self.steps)", "_mix(0, self.steps)"),
        ("accumulate-divisor", "min(many, self.length - self.state.step // many * many)", "many"),
        ("accumulate-rest-waits", "if self.state.step % many and self.state.step < self.length:",
                                  "if self.state.step % many:"),
        ("weights-ignored", "loss.float() * weights[name] for", "loss.float() for"),
        ("weight-zero-counts", " if weights[name]]", "]"),
        ("infinite-loss-goes-on", "not distributed.all_mean(total).isfinite()", "False"),
        ("schedules-by-whole-epochs", "self.task.at_epoch(self.steps / self.length)",
                                      "self.task.at_epoch(self.state.epoch)"),
        ("validation-in-training-mode", "        self.task.eval()\n", ""),
        ("validation-last-forgotten", " or epoch == self.options.epochs", ""),
        ("schedule-counts-batches", "-(-self.length // self.options.accumulate)", "self.length"),
        ("schedule-forgets-the-rest", "-(-self.length // self.options.accumulate)",
                                      "self.length // self.options.accumulate"),
        ("memory-not-told", "        self.task.after_step()\n", ""),
    )),
    ("psearch/engine/loop.py", RESUME, (
        ("seconds-over-attempts", "time.monotonic() - self.state.seconds", "time.monotonic()"),
        ("best-is-worst", "metrics[monitor] > self.state.best", "metrics[monitor] < self.state.best"),
        ("resume-repeats-batches", "(self.state.epoch, self.state.step)", "(self.state.epoch)"),
        ("resume-repeats-rows", "        self.tracker.rewind(at.rows)\n", ""),
    )),
    ("psearch/engine/optimization.py", TRAINER, (
        ("clip-ignored", "math.inf if self.clip is None else self.clip", "math.inf"),
        ("clip-of-scaled-gradient", "        self.scaler.unscale_(self.optimizer)\n", ""),
        ("rate-stays", "        self.schedule.step()\n", ""),
        ("gradient-stays", "        self.optimizer.zero_grad(set_to_none=True)\n", ""),
        ("norms-decay", '"params": spared, "weight_decay": 0.0', '"params": spared'),
    )),
    ("psearch/engine/meters.py", ("tests/engine/test_meters.py",), (
        ("meter-sum", "sum(column) / len(column)", "sum(column)"),
        ("meter-goes-on", "        self._clear()\n        return row", "        return row"),
        ("meter-refuses-scaled", "if finite_gradients:", "if True:"),
    )),
    ("psearch/engine/optimization.py", TRAINER, (
        ("warmup-from-nothing", "(step + 1) / rise", "step / rise"),
        ("milestone-late", "bisect_right(falls, step)", "bisect_right(falls, step - 1)"),
    )),
    ("psearch/runs/checkpoint.py", RESUME, (
        ("no-checkpoint-before", "os.replace(last, directory / PREVIOUS)", "pass"),
    )),
    ("psearch/studies/identity_features.py", ("tests/studies/test_identity_features.py",), (
        ("people-mirror", "_embed(network, batch) + _embed(network, _mirrored(batch))",
                          "_embed(network, batch)"),
        ("people-mirror-boxes", "width - b[:, 2], b[:, 1], width - b[:, 0]", "b[:, 0], b[:, 1], b[:, 2]"),
        ("people-unlabelled", "[own[(own >= 0) & ~ignore]", "[own[(own >= -1) & ~ignore]"),
    )),
    ("psearch/studies/teachers.py", ("tests/studies/test_identity_features.py",), (
        ("teacher-prototypes-other-data", "task.prototypes if same_people else None", "task.prototypes"),
    )),
    ("psearch/models/proposals.py", ("tests/models/test_proposal_network.py",), (
        ("rpn-train-budget", "self.post_nms_top_n_train if self.training else self.post_nms_top_n",
                              "self.post_nms_top_n"),
    )),
    ("psearch/data/loading.py", ("tests/data/test_loading.py",), (
        ("flip-probability", ".random() < self.flip", ".random() < 0.5"),
    )),
]

def _ingredients(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/studies/test_ingredients.py::{name}" for name in names)  # others train


IDENTITY: list[Group] = [
    ("psearch/identity.py", ("tests/test_identity.py",), (
        ("address-without-data", "[deciding(recipe), data, code]", "[deciding(recipe), code]"),
        ("address-without-code", "[deciding(recipe), data, code]", "[deciding(recipe), data]"),
        ("job-name-without-data", "{config_hash(config, data)[:6]}", "{config_hash(config)[:6]}"),
        ("neutral-batch-size", '"trainer.threads": ', '"trainer.batch_size": "", "trainer.threads": '),
        ("deciding-threads", '    "trainer.threads": "who computes",\n', ""),
        ("deciding-neutral-keys-of-teachers", r're.sub(r"^teacher\.[^.]+\.", "", key)', "key"),
        ("defaults-written-out", "if name not in defaults or ", "if True or "),
        ("defaults-in-other-words", "_text(plain) != _text(_deciding(defaults[name]))",
                                    "plain is not defaults[name]"),
        ("switch-is-number", "if isinstance(value, float) and value.is_integer():",
                             "if isinstance(value, int | float) and float(value).is_integer():"),
        ("cache-by-its-place", "value is not None if own_key(key) in PRESENCE else ", ""),
        ("weights-by-their-place", '{"fingerprint": str(node["fingerprint"])}',
                                   '{"checkpoint": str(node["checkpoint"])}'),
        ("row-per-seed-of-teacher", 'if own_key(key) != "seed"', 'if key != "seed"'),
        ("stale-ignores-code", "made_from.get(name) != digest",
                               'made_from.get(name) != digest and name != "code"'),
        ("stale-believes-what-is-not-recorded", "made_from.get(name) !=", "made_from.get(name, digest) !="),
        ("code-that-watches", "for key, node in config.items() if decides(key)}",
                              "for key, node in config.items()}"),
        ("code-of-extensions", '*(target.partition(".")[0] for target in built)} -', "} -"),
    )),
    ("psearch/sources.py", ("tests/test_sources.py",), (
        ("closure-without-losses", '*("psearch.tracking",', '*("psearch.losses", "psearch.tracking",'),
        ("closure-of-carriers", " or _within(module, CARRIERS)", ""),
        ("closure-of-first-lines-only", "for node in ast.walk(tree):", "for node in tree.body:"),
        ("closure-without-packages", '[module.rpartition(".")[0], *_imports(', "[*_imports("),
        ("closure-relative", "+ 1 - node.level", "- node.level"),
        ("digest-of-names", "{module} {_source(path).meaning}", "{module}"),
        ("digest-of-docstrings", "node.body[:1] = []", "pass"),
        ("defaults-of-bases", "(*inherited, own_fields)", "(own_fields,)"),
        ("defaults-of-names", "if name == (alias.asname or alias.name):", "if name == alias.name:"),
        ("defaults-fractions", "/ ast.literal_eval(node.right)", "* ast.literal_eval(node.right)"),
    )),
    ("psearch/studies/ingredients.py", _ingredients(
        "test_code_that_teaches_and_measures_is_a_students_and_code_of_its_teachers_is_theirs",
        "test_a_teacher_lies_where_its_recipe_its_training_data_and_its_code_say",
        "test_a_finished_run_is_outdated_by_its_code_and_by_each_teacher_that_it_trained",
    ), (
        ("training-code-without-loop", "code_of(recipe.plain, *TRAINING)", "code_of(recipe.plain)"),
        ("run-code-without-measurement", ', *TAUGHT, "psearch.studies.measurement")', ", *TAUGHT)"),
        ("run-code-of-teachers", ' if key != "teacher"}', "}"),
        ("teacher-by-all-data", "address(teacher.recipe.plain, data.train,",
                                "address(teacher.recipe.plain, data.whole,"),
        ("outdated-by-teachers-only", '= {"code": run_code(config)}', "= {}"),
        ("outdated-by-code-only", "for name, place in teachers.items()", "for name, place in ()"),
        ("outdated-by-given-teachers", " if teacher.recipe is not None}", "}"),
    )),
]
"""What a run and a teacher are: which settings, code and data decide it."""
# fmt: on

MUTANTS = [
    Mutant(name, file, old, new, tests)
    for group in (LOSSES, BOXES, DISTILL, LOOP, IDENTITY)
    for file, tests, changes in group
    for name, old, new in changes
]
