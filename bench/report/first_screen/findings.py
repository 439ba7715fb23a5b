"""The comparisons that answer the questions of the first screen, a sentence each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from bench.analysis.caveats import footnotes_on
from bench.analysis.comparison.comparability import in_words
from bench.analysis.comparison.pairing import AccuracyDifference, accuracy_difference
from bench.analysis.experiments import Experiment, device_of, labels
from bench.analysis.results import Results
from bench.analysis.rows import Row
from bench.core.case import Case
from bench.core.kinds import ACCURACY, INFERENCE, LATENCY, TRAIN_THROUGHPUT, kind
from bench.networks.architecture import Dense
from bench.networks.variants import VARIANTS
from bench.report.chapters.normalisation import NOT_INTERLEAVED, normalisation_rows
from bench.report.columns import case_of
from bench.report.first_screen import wording
from bench.report.first_screen.small_plots import ACCURACY as ACCURATE
from bench.report.first_screen.small_plots import POINTS, SPEED, Mark
from bench.report.first_screen.wording import Subject
from bench.report.footnotes import has_caveat, signed
from bench.report.format import count, fixed, known, percent
from bench.stats.estimates import Estimate
from bench.stats.verdicts import INCONCLUSIVE, TIE, speed_verdict
from bench.training.frameworks import FRAMEWORKS
from bench.training.tracks import TRACKS

NOT_COMPARED = "not compared"
_SINGLE = "single images"
_CHANCE = 1.5
"""Accuracies up to this times chance are no sign of learning."""
_NO_DIFFERENCE = ("", TIE, INCONCLUSIVE, NOT_INTERLEAVED)
"""Verdicts that find none."""


@dataclass(frozen=True)
class Finding:
    """One comparison in words.

    Attributes:
        words: With its number and interval, without a full stop.
        place: Under which conditions: ``closed track, float32``.
        verdict: ``faster``, ``lower``, …, ``tie``, ``inconclusive`` or `NOT_COMPARED`.
        effect: The comparison in a few words, without its interval: ``12 % faster``.
        size: The effect as a number, by which the smallest and largest are found; None without one.
        caveat: Whether a record of it has a caveat.
        variant: Its network.
        track: Its track.
        within: Whether both are of one framework, in two executions.
        unequal: Whether one was trained on more images than the other.
        group: What else is the same in findings that one sentence may hold.
        marks: What a plot shows of it.
    """

    words: str
    place: str
    verdict: str
    effect: str = ""
    size: float | None = None
    caveat: bool = False
    variant: str = ""
    track: str = ""
    within: bool = False
    unequal: bool = False
    group: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()

    @property
    def sentence(self) -> str:
        """The words and their place, with ‡ for a caveat, without a full stop."""
        return signed(f"{self.words} ({self.place})", on=self.caveat)

    @property
    def order(self) -> tuple[bool, bool, int, bool]:
        """Sorting key: trainings on equal numbers of images first, then by track, the certified one
        first, frameworks before executions of one framework; what may not be compared comes last.

        It has nothing of the result, or the most extreme comparison would lead. In a track the
        order is that of the tables.
        """
        place = list(TRACKS).index(self.track)
        return self.verdict == NOT_COMPARED, self.unequal, place, self.within


Find = Callable[[Results, bool], list[Finding]]
"""The findings of one dataset; whether the dataset is named."""


def training(results: Results, named: bool) -> list[Finding]:
    """Training speeds over those of the reference framework."""
    return _speeds(results, named, TRAIN_THROUGHPUT, "trains", "training")


def serving(results: Results, named: bool) -> list[Finding]:
    """Inference speeds over those of the reference framework, in batches and of single images."""
    return [
        *_speeds(results, named, INFERENCE, "serves", "serving"),
        *_speeds(results, named, LATENCY, f"answers {_SINGLE} of", f"answering {_SINGLE} of"),
    ]


def learning(results: Results, named: bool) -> list[Finding]:
    """Test accuracies compared with that of the reference framework."""
    found = []
    for ours, theirs, network in _compared(results, ACCURACY):
        one, other = _names(ours, theirs)
        subject = Subject(one, other, "reaches", f"on {network}")
        place = _place(results, named, ours, theirs)
        if refused := in_words(results.between(ours, theirs)):
            found.append(_refused(subject, refused, ours, theirs, _on(results, named)))
            continue
        difference = accuracy_difference(ours.ok, theirs.ok)
        words = wording.accuracy_sentence(subject, difference)
        words += _by_images(ours, theirs, difference.means) + _chance(ours, difference.means)
        made = _finding(words, place, difference.verdict.word, ours, theirs)
        made = replace(made, **_effect_of(difference))
        both = zip((ours, theirs), difference.means, strict=True)
        on = _on(results, named)
        marks = [
            Mark(", ".join([network, _title_among(e, results), e.case.track, *on]), ACCURATE, mean)
            for e, mean in both
        ][::-1]
        found.append(replace(made, marks=tuple(marks)))
    return found


def normalising(results: Results, named: bool) -> list[Finding]:
    """What each normalisation brings in test accuracy and costs in training speed."""
    rows = [row for row in results.once(normalisation_rows) if row["normalisation"]]
    cases = [case_of(row) for row in rows]
    found = []
    for row, case in zip(rows, cases, strict=True):
        # One place for all networks under the same conditions: a sentence may hold two of them.
        same = [c for c in cases if (c.framework, c.track) == (case.framework, case.track)]
        telling = _telling(case, same)
        place = ", ".join([_place_of(results, named, case), *telling])
        on = _on(results, named)
        found.append(_normalisation(row, place, [f"over {row['base']}", *telling, *on]))
    return found


def pretraining(results: Results, named: bool) -> list[Finding]:
    """Test accuracy from pretrained weights compared with that from scratch."""
    trained = [e for e in results.experiments(ACCURACY) if e.ok and e.certified]
    scratch: dict[Case, list[Experiment]] = {}
    for experiment in trained:
        if experiment.case.init == "scratch":
            scratch.setdefault(_start_apart(experiment.case), []).append(experiment)
    pretrained = [e for e in trained if e.case.init == "pretrained"]
    starts = [e.case for some in scratch.values() for e in some]
    every = [e.case for e in pretrained], starts
    found = []
    for ours in pretrained:
        weights, own = ([c for c in cases if _whose(c) == _whose(ours.case)] for cases in every)
        theirs = _nearest_in_images(ours, scratch.get(_start_apart(ours.case), []))
        made = _pretrained(ours, theirs, results, named)
        place = [made.place, *_telling(ours.case, weights, ("batch_size", "input_size"))]
        made = replace(made, place=", ".join(place))
        if theirs and made.marks:
            on = _on(results, named)
            details = (
                [*_telling(c, some), *on] for c, some in ((theirs.case, own), (ours.case, weights))
            )
            marks = zip(made.marks, details, strict=True)
            made = replace(made, marks=tuple(replace(m, detail=", ".join(d)) for m, d in marks))
        found.append(made)
    return found


def _nearest_in_images(ours: Experiment, among: Sequence[Experiment]) -> Experiment | None:
    """The training whose number of images is nearest to that of ours; None of none."""
    seen = _images_seen(ours)
    return min(among, key=lambda e: abs(_images_seen(e) - seen), default=None)


def _speeds(results: Results, named: bool, name: str, verb: str, noun: str) -> list[Finding]:
    found = []
    compared = _compared(results, name)
    frameworks = len({title(ours.case) for ours, _, _ in compared})
    networks = len({network for _, _, network in compared})
    for ours, theirs, network in compared:
        one, other = _names(ours, theirs)
        subject = Subject(one, other, f"{verb} {network}", f"{noun} {network}")
        if refused := in_words(results.between(ours, theirs)):
            found.append(_refused(subject, refused, ours, theirs, _on(results, named)))
            continue
        versus = results.ratio(ours, theirs)
        words = wording.speed_sentence(subject, versus)
        word, value = speed_verdict(versus).word, versus.ratio.value
        place = _place(results, named, ours, theirs)
        made = _finding(words, place, word, ours, theirs)
        several = frameworks > 1 or ours.case.framework == theirs.case.framework
        several = several or results.has_several_precisions(ours)
        what = [_title_among(ours, results)] if several else []
        what += [network] if networks > 1 or frameworks == 1 else []
        mark = _speed_mark(ours, what, versus.ratio, decided=word not in _NO_DIFFERENCE)
        mark = replace(mark, detail=", ".join(_on(results, named)))
        effect = wording.size(value)
        effect = f"{effect} on {_SINGLE}" if name == LATENCY else effect
        found.append(replace(made, effect=effect, size=value, marks=(mark,)))
    return found


def _speed_mark(ours: Experiment, what: Sequence[str], ratio: Estimate, *, decided: bool) -> Mark:
    """How much faster one framework is than the reference, as a plot has it."""
    value, low, high = (None if end is None else end - 1 for end in ratio)
    label = ", ".join([*what, ours.case.track])
    if kind(ours.kind).batch_size:
        label += f", batch {kind(ours.kind).batch_size}"
    return Mark(label, SPEED, value if value is not None else math.nan, low, high, decided)


def _compared(results: Results, name: str) -> list[tuple[Experiment, Experiment, str]]:
    """Experiments of a kind with their references and the names of their networks."""
    pairs = [(e, results.reference(e)) for e in results.experiments(name)]
    found = [(e, other) for e, other in pairs if other is not None and other is not e]
    by_track: dict[str, list[Case]] = {}
    for e, _ in found:
        by_track.setdefault(e.case.track, []).append(e.peers)
    names = {track: labels(dict.fromkeys(cases)) for track, cases in by_track.items()}
    return [(e, other, names[e.case.track][e.peers]) for e, other in found]


def _names(ours: Experiment, theirs: Experiment) -> tuple[str, str]:
    """Both frameworks, with their precisions where these differ."""
    apart = ours.case.precision != theirs.case.precision
    one, other = (
        f"{title(e.case)} in {e.case.precision}" if apart else title(e.case) for e in (ours, theirs)
    )
    return one, other


def _title_among(experiment: Experiment, results: Results) -> str:
    """The framework, with its precision where it is compared in several."""
    several = results.has_several_precisions(experiment)
    return title(experiment.case) + (f" in {experiment.case.precision}" if several else "")


def title(case: Case) -> str:
    """The framework of a case as a sentence has it: ``Keras on TensorFlow``."""
    row = FRAMEWORKS.get(case.framework)
    return f"{(row and row.title) or case.framework} {case.unusual_execution}".strip()


def _place(results: Results, named: bool, ours: Experiment, theirs: Experiment) -> str:
    same = ours.case.precision == theirs.case.precision
    precision = ours.case.precision if same else ""
    return _place_of(results, named, replace(ours.case, precision=precision), ours.kind)


def _place_of(results: Results, named: bool, case: Case, of: str = "") -> str:
    """Under which conditions: ``closed track, float32, batch 128``."""
    timed = bool(of) and kind(of).throughput
    trained = not of or kind(of).trained
    parts = [
        f"{case.track} track",
        case.precision,
        *([f"batch {case.batch_size}"] if timed else []),
        *([device_of(case)] if device_of(case) != "cpu" else []),
        *_on(results, named),
        *(["synthetic images"] if trained and results.data.is_synthetic else []),
    ]
    return ", ".join(part for part in parts if part)


def _on(results: Results, named: bool) -> list[str]:
    """The dataset, where there are several."""
    return [results.data.words] if named else []


_SHOWN = {"recipe": "recipe {}", "batch_size": "batch {}", "input_size": "{} px"}


def _telling(case: Case, same: Sequence[Case], fields: Sequence[str] = tuple(_SHOWN)) -> list[str]:
    """In words, in what a case differs from some of those that it stands next to."""
    apart = (name for name in fields if len({getattr(c, name) for c in same}) > 1)
    return [_SHOWN[name].format(getattr(case, name)) for name in apart]


def _whose(case: Case) -> tuple[str, str, str]:
    return case.variant, case.framework, case.track


def _effect_of(found: AccuracyDifference) -> dict[str, Any]:
    """A difference of accuracies as fields of a finding."""
    value = found.estimate.value
    return {"effect": wording.more_points(value), "size": value}


def _finding(words: str, place: str, verdict: str, ours: Experiment, theirs: Experiment) -> Finding:
    reasons = footnotes_on([*ours.ok, *theirs.ok], timed=kind(ours.kind).timed)
    case, sign = ours.case, bool(reasons)
    return Finding(
        _capital(words),
        place,
        verdict,
        caveat=sign,
        variant=case.variant,
        track=case.track,
        within=theirs is not ours and case.framework == theirs.case.framework,
    )


def _refused(
    subject: Subject, why: str, ours: Experiment, theirs: Experiment, on: Sequence[str]
) -> Finding:
    words = f"{subject.one} is not compared with {subject.other} in {subject.noun}: {why}"
    place = ", ".join([f"{ours.case.track} track", *on])
    return _finding(words, place, NOT_COMPARED, ours, theirs)


def _capital(words: str) -> str:
    """With a capital, unless it begins with the name of a network."""
    return words if words.split()[0] in VARIANTS else words[:1].upper() + words[1:]


def _mean(experiment: Experiment) -> float:
    values = [record.samples[0] for record in experiment.ok]
    return math.fsum(values) / len(values)


def _by_images(ours: Experiment, theirs: Experiment, means: tuple[float, float]) -> str:
    """The interval of one seed each, in brackets: seeds alone give none."""
    if len(ours.ok) != 1 or len(theirs.ok) != 1:
        return ""
    images = [int(e.ok[0].dataset.get("test_images") or 0) for e in (ours, theirs)]
    found = wording.by_images_alone(means, min(images))
    return f" ({found})" if found else ""


def _chance(experiment: Experiment, means: Iterable[float]) -> str:
    """A warning where neither side has learned."""
    classes = experiment.ok[0].metrics.get("classes") or ()
    if not classes or max(means) > _CHANCE / len(classes):
        return ""
    return f"; chance is {percent(1 / len(classes), 0)}, so neither has clearly learned"


def _normalisation(row: Row, place: str, detail: Sequence[str]) -> Finding:
    case = case_of(row)
    base, place = str(row["base"]), f"{title(case)}, {place}"
    layers = str(row["normalisation"]).partition(" over ")[0]
    who = f"{row['variant']} ({layers}) compared with {base}"
    verdicts = [str(row["accuracy_verdict"]), str(row["speed_verdict"])]
    decided = [word for word in verdicts if word not in _NO_DIFFERENCE]
    rest = TIE if TIE in verdicts else INCONCLUSIVE
    finding = Finding(
        f"{who} {_brings_and_costs(row)}",
        place,
        decided[0] if decided else rest,
        caveat=has_caveat(row),
        variant=case.variant,
        track=case.track,
        group=(base, case.recipe, place),
        marks=tuple(replace(mark, detail=", ".join(detail)) for mark in _both_changes(row)),
    )
    if not (why := row["not_compared"]):
        return finding
    if known(row["difference"]):
        return replace(
            finding, words=f"{who} {_brings(row)}; training speed is not compared: {why}"
        )
    if known(row["ratio"]):
        return replace(finding, words=f"{who} {_costs(row)}; accuracy is not compared: {why}")
    return replace(finding, words=f"{who}: {why}", verdict=NOT_COMPARED)


def _both_changes(row: Row) -> tuple[Mark, ...]:
    """What a normalisation brings and costs, as a plot has it."""
    who, marks = f"{row['variant']}, {title(case_of(row))}, {row['track']}", []
    if known(row["difference"]):
        ends = (row["difference"], row["low"], row["high"])
        decided = row["accuracy_verdict"] not in _NO_DIFFERENCE
        marks.append(Mark(f"{who}, test accuracy", POINTS, *ends, decided))
    if known(row["ratio"]):
        ends = (row["ratio"], row["ratio_low"], row["ratio_high"])
        value, low, high = (None if end is None else end - 1 for end in ends)
        decided = row["speed_verdict"] not in _NO_DIFFERENCE
        marks.append(Mark(f"{who}, training speed", SPEED, value or 0.0, low, high, decided))
    return tuple(marks)


def _brings_and_costs(row: Row) -> str:
    """Both changes; what neither decides is called inconclusive once."""
    verdicts = (row["accuracy_verdict"], row["speed_verdict"])
    if set(verdicts) != {INCONCLUSIVE}:
        return f"{_brings(row)} and {_costs(row)}"
    gained = wording.gain(Estimate(row["difference"], row["low"], row["high"]))
    seeds = f" ({_one_seed(row)})" if _one_seed(row) else ""
    cost = wording.change(Estimate(row["ratio"], row["ratio_low"], row["ratio_high"]))
    return f"is inconclusive in accuracy and in speed: {gained}{seeds}, training {cost}"


def _one_seed(row: Row) -> str:
    """In words, where a side has one seed, so that nothing can be decided; else empty."""
    seeds = (int(row["seeds"]), int(row["against_seeds"] or 0))
    if min(seeds) != 1:
        return ""
    return "one seed each" if max(seeds) == 1 else "one seed on a side"


def _brings(row: Row) -> str:
    difference = Estimate(row["difference"], row["low"], row["high"])
    if not known(row["difference"]):
        return "was not trained to an accuracy in both"
    if row["accuracy_verdict"] == TIE:
        return f"shows no difference of {wording.accuracy_bound(difference)} in test accuracy"
    gained = f"reaches {wording.gain(difference)}"
    if row["accuracy_verdict"] != INCONCLUSIVE:
        return gained
    seeds = _one_seed(row)
    return f"{gained} ({f'{seeds}: ' if seeds else ''}inconclusive)"


def _costs(row: Row) -> str:
    ratio = Estimate(row["ratio"], row["ratio_low"], row["ratio_high"])
    if not known(row["ratio"]):
        return "was not timed in both"
    if row["speed_verdict"] == TIE:
        return f"shows no difference of {wording.speed_bound(ratio)} in training speed"
    trains = f"trains {wording.change(ratio)}"
    if row["speed_verdict"] == NOT_INTERLEAVED:
        return f"{trains}, {NOT_INTERLEAVED}"
    if row["speed_verdict"] == INCONCLUSIVE:
        return f"{trains} (inconclusive)"
    return trains


def _start_apart(case: Case) -> Case:
    """What a training from pretrained weights shares with one from scratch."""
    return replace(
        case, init="scratch", weights=None, frozen=False, recipe="", head=_head_alike(case)
    )


def _head_alike(case: Case) -> str:
    """Its head; a new last layer is the source's own where that is the end of the network: both
    have as many units as the data has classes."""
    if case.head != "replace-last" or case.variant not in VARIANTS:
        return case.head
    ends = isinstance(VARIANTS[case.variant].architecture().layers[-1], Dense)
    return "source" if ends else case.head


def _pretrained(
    ours: Experiment, theirs: Experiment | None, results: Results, named: bool
) -> Finding:
    case = ours.case
    source = (case.weights or "unknown").partition("@")[0]
    how = "trunk frozen" if case.frozen else "fine-tuned"
    place = f"{_place_of(results, named, case)}, recipe {case.recipe}"
    who = f"{case.variant} from {source} weights ({how})"
    if theirs is None:
        words = f"{who} reaches {percent(_mean(ours))} test accuracy in {title(case)}"
        words += f"{_spread(ours)}, but its training from scratch is not measured in this run"
        return _finding(words, place, NOT_COMPARED, ours, ours)
    seen = [_images_seen(experiment) for experiment in (ours, theirs)]
    after = ["" if seen[0] == seen[1] else f" after {count(number)} images" for number in seen]
    subject = Subject(
        who + after[0], f"the same from scratch{after[1]}", "reaches", f"in {title(case)}"
    )
    place += f" and {theirs.case.recipe}" if theirs.case.recipe != case.recipe else ""
    apart = [d for d in results.between(ours, theirs) if not _of_start(d.key)]
    if apart:
        return _refused(subject, in_words(apart), ours, theirs, _on(results, named))
    found = accuracy_difference(ours.ok, theirs.ok)
    words = wording.accuracy_sentence(subject, found) + _by_images(ours, theirs, found.means)
    made = _finding(words, place, found.verdict.word, ours, theirs)
    shown = f"{case.variant}, {title(case)}, {case.track}"
    marks = (
        Mark(f"{shown}, from scratch", ACCURATE, found.means[1]),
        Mark(f"{shown}, {source} weights, {how}", ACCURATE, found.means[0]),
    )
    unequal = seen[0] != seen[1]
    return replace(made, marks=marks, unequal=unequal, **_effect_of(found))


def _images_seen(experiment: Experiment) -> int:
    """Images of a training, those of all epochs."""
    return int(median(record.metrics.get("train_images", 0) for record in experiment.ok))


def _spread(experiment: Experiment) -> str:
    """How many seeds a mean is over."""
    seeds = len(experiment.ok)
    return " with one seed" if seeds == 1 else f" (mean of {fixed(seeds, 0)} seeds)"


def _of_start(key: str) -> bool:
    """Whether two settings differ since one training starts from pretrained weights."""
    return key in ("initial_weights_sha256", "batch_plan_sha256") or key.startswith("recipe.")
