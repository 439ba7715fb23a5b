"""What a reader of the answers must not miss: a framework's recommended settings that are slower
than those of the certified track, one that does not use the kernels that it has, and trainings
that start from other weights in each framework."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from bench.analysis.caveats import footnotes_on
from bench.analysis.experiments import Experiment, labels
from bench.analysis.results import Results
from bench.analysis.values import value_of
from bench.core.case import Case
from bench.core.kinds import ACCURACY, INFERENCE, LATENCY, TRAIN_THROUGHPUT, kind
from bench.core.records import Record
from bench.report.first_screen.findings import title
from bench.report.footnotes import signed
from bench.report.format import joined, significant
from bench.stats.verdicts import without_verdict
from bench.training.frameworks import ONEDNN_SWITCH
from bench.training.tracks import TRACKS, peers_of

SLOWER = 1.5
"""Factor from which on a framework is said to be slower with the settings that it recommends."""

_VERBS = {
    TRAIN_THROUGHPUT: "trains",
    INFERENCE: "serves",
    LATENCY: "answers a single image of",
}


def slower_as_recommended(results: Results, *kinds: str, named: bool = False) -> list[str]:
    """A sentence for each framework that is much slower with stock layers and recommended settings
    than in the certified track, without a full stop.

    Args:
        results: The results of one dataset.
        kinds: The kinds of measurement that it is about.
        named: Whether the dataset is named.
    """
    sentences = []
    for kind_name in kinds:
        pairs = list(_pairs(results, (kind_name,)))
        names = labels(_network(stock) for stock, _ in pairs)
        for stock, certified in pairs:
            seconds = _seconds(stock), _seconds(certified)
            if seconds[0] > SLOWER * seconds[1]:
                network = names[_network(stock)]
                network += f" on {results.data.words}" * named
                sentences.append(_sentence(stock, certified, seconds, network))
    return sentences


def without_onednn(results: Results, *kinds: str, said: Collection[str] = ()) -> list[str]:
    """A sentence for each framework whose default on a CPU leaves out oneDNN's kernels, without a
    full stop.

    Args:
        results: The results of one dataset.
        kinds: The kinds of measurement that it is about.
        said: Kinds of an answer before this one: what its sentence says is not said again.
    """
    before = _without_onednn(results, said)
    tracks = {
        name: found
        for name, found in _without_onednn(results, kinds).items()
        if not found.keys() <= before.get(name, {}).keys()
    }
    return [
        f"{name} computes without oneDNN in the {joined(list(found))} track, as it does by default "
        f"on this processor; `{ONEDNN_SWITCH}=1 alexbench run --keep-env {ONEDNN_SWITCH}` measures "
        "it with oneDNN"
        for name, found in tracks.items()
    ]


def own_starts(results: Results) -> list[str]:
    """A sentence where frameworks that are compared start from weights of their own, without a
    full stop.

    Args:
        results: The results of one dataset.
    """
    frameworks: dict[Case, set[str]] = {}
    for e in results.experiments(ACCURACY):
        row = TRACKS.get(e.case.track)
        if e.ok and e.case.init == "scratch" and row and not (row.shared_weights or row.stages):
            frameworks.setdefault(peers_of(e.case), set()).add(e.case.framework)
    compared = [case.track for case, names in frameworks.items() if len(names) > 1]
    if not compared:
        return []
    tracks = joined(list(dict.fromkeys(compared)))
    return [
        f"From scratch each framework draws its own initial weights in the {tracks} track, so a "
        "difference there may come from these"
    ]


def _without_onednn(results: Results, kinds: Collection[str]) -> dict[str, dict[str, None]]:
    """The tracks that compute without it, by the title of the framework."""
    tracks: dict[str, dict[str, None]] = {}
    for e in results.experiments(*kinds) if kinds else ():
        if e.case.track in TRACKS and any(map(_left_out_onednn, e.ok)):
            tracks.setdefault(title(e.case), {})[e.case.track] = None
    return tracks


def _left_out_onednn(record: Record) -> bool:
    settings = record.settings
    if record.case.device != "cpu" or settings.get("onednn") is not False:
        return False
    kept = settings.get("kept_environment") or ()
    return not any(str(one).startswith(f"{ONEDNN_SWITCH}=") for one in kept)


def _pairs(results: Results, kinds: tuple[str, ...]) -> Iterator[tuple[Experiment, Experiment]]:
    """Stock and certified experiments of one case on one share of a machine, undisturbed."""
    found = [e for e in results.experiments(*kinds) if e.ok and e.case.track in TRACKS]
    certified = {
        (_anywhere(e.case), e.kind): e
        for e in found
        if TRACKS[e.case.track].certified and e.certified
    }
    for e in found:
        row = TRACKS[e.case.track]
        other = certified.get((_anywhere(e.case), e.kind))
        if other is None or row.certified or row.own_kernels or results.between(e, other):
            continue
        if not without_verdict(results.ratio(e, other)):
            yield e, other


def _anywhere(case: Case) -> Case:
    """What the rows of two tracks share: all but track, precision and recipe."""
    return replace(case, track="", precision="", recipe="")


def _network(experiment: Experiment) -> Case:
    """Its case for a label: the frameworks of one network share it."""
    return replace(experiment.case, framework="", track="", precision="")


def _seconds(experiment: Experiment) -> float:
    """Seconds of half of the calls at most (p50), or of one image, as the tables have them."""
    value = value_of(experiment.ok).value
    return 1 / value if kind(experiment.kind).throughput else value


def _sentence(
    stock: Experiment, certified: Experiment, seconds: tuple[float, float], network: str
) -> str:
    case = stock.case
    if kind(stock.kind).throughput:
        ours, theirs = (f"{significant(1 / s)} images/s" for s in seconds)
        link, note = "at", ""
    else:
        ours, theirs = (f"{significant(1000 * s)} ms" for s in seconds)
        link, note = "in", " (p50)"
    words = (
        f"{title(case)} {_VERBS[stock.kind]} {network} {link} {ours}{note} in the {case.track} "
        f"track ({case.precision}) and {link} {theirs} in the {certified.case.track} track "
        f"({certified.case.precision})"
    )
    return signed(words, on=footnotes_on([*stock.ok, *certified.ok], timed=True))
