"""Sentences about one comparison: a ratio of speeds or a difference of accuracies, in words.

The number of a sentence is that of the tables, rounded; nothing is computed here. A ratio
of 1.12 is *12 % faster*, one of 0.80 *20 % slower*, from 2 on *2.4 times as fast*. Percentages are
whole numbers, below one percent of one significant digit. An interval beyond a factor of two has
ratios instead: *0.94 times as fast [0.12, 7.35]*.

An end of an interval in percent or points has its sign, whatever the words before it: plus is
faster or more, minus slower or less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.analysis.comparison.pairing import AccuracyDifference
from bench.report.format import POINTS, RATIO, fixed, known, percent, significant
from bench.stats.estimates import Estimate, Ratio
from bench.stats.verdicts import INCONCLUSIVE, TIE, WIDE, Verdict, speed_verdict

_NORMAL_95 = 1.96
"""Quantile of the normal distribution: an accuracy is a mean over hundreds of images."""
_TIMES = 2
"""Ratio from which on a speed is *times as fast*."""


@dataclass(frozen=True)
class Subject:
    """Who is compared with whom, and in what.

    Attributes:
        one: The side of the numerator.
        other: The side it is compared with.
        verb: What both do, with a network: ``trains cifar-bn``.
        noun: The same as a noun: ``training cifar-bn``.
    """

    one: str
    other: str
    verb: str
    noun: str


def speed_sentence(subject: Subject, versus: Ratio) -> str:
    """What a ratio of speeds says, without a full stop."""
    one, other = subject.one, subject.other
    verdict, ratio = speed_verdict(versus), versus.ratio
    apart = "" if versus.pairs else ", not interleaved"
    if verdict.word == TIE:
        bound = speed_bound(ratio)
        words = f"no difference of {bound} was found between {one} and {other} in {subject.noun}"
        return f"{words}{apart}"
    if verdict.word != INCONCLUSIVE:
        return f"{one} {subject.verb} {change(ratio, other)}{apart}"
    who = f"{one} compared with {other} in {subject.noun} is inconclusive{apart}"
    if verdict.reason == WIDE:
        return f"{who}: {_reach(ratio)}{_undetectable(versus.detectable)}"
    spread = f" ({_reach(ratio)})" if ratio.low is not None else ""
    return f"{who}: {size(ratio.value)} here{spread}, but {verdict.reason}"


def change(ratio: Estimate, than: str = "") -> str:
    """A ratio with its interval: ``12 % faster [+5, +19]``, ``20 % slower than B [-22, -18]``,
    ``2.4 times as fast [2.12, 2.80]``."""
    value, low, high = ratio
    if low is None or high is None or not known(low) or not known(high):
        return f"{size(value)}{_link(than, as_fast=value >= _TIMES)}"
    if value >= _TIMES or high >= _TIMES or high > _TIMES**2 * low:
        times = significant(value, 2) if value >= _TIMES else fixed(value, 2)
        return f"{times} times as fast{_link(than, as_fast=True)} {RATIO.interval(low, high)}"
    shown = f"{size(value)}{_link(than, as_fast=False)}"
    return f"{shown} [{_signed(low - 1)}, {_signed(high - 1)}]"


def speed_bound(ratio: Estimate) -> str:
    """What the interval of a tie stays below: ``6 % or more``, rounded up so that it holds."""
    _, low, high = ratio
    assert low is not None
    assert high is not None
    widest = 100 * max(high - 1, 1 - low)
    return f"{max(1, math.ceil(round(widest, 6)))} % or more"


def _link(than: str, *, as_fast: bool) -> str:
    return f" {'as' if as_fast else 'than'} {than}" if than else ""


def _signed(part: float) -> str:
    return f"{'-' if part < 0 else '+'}{percents(abs(part))}"


def size(value: float) -> str:
    """A ratio of speeds in words: ``12 % faster``, ``20 % slower``, ``2.4 times as fast``."""
    if value >= _TIMES:
        return f"{significant(value, 2)} times as fast"
    return f"{percents(abs(value - 1))} % {'faster' if value >= 1 else 'slower'}"


def percents(part: float) -> str:
    """A fraction in percent, as every percentage of a sentence is rounded."""
    whole = 100 * part
    return fixed(whole, 0) if abs(whole) >= 1 or whole == 0 else significant(whole, 1)


def _reach(ratio: Estimate) -> str:
    """The ends of an interval in words: ``the interval reaches from 8 % slower to 30 % faster``."""
    _, low, high = ratio
    assert low is not None
    assert high is not None
    return f"the interval reaches from {size(low)} to {size(high)}"


def _undetectable(detectable: float | None) -> str:
    if detectable is None or not known(detectable):
        return ""
    size = detected(detectable)
    return f"; a difference below {size} could not have been found"


def detected(detectable: float) -> str:
    """A detectable difference: ``12 %``, and from 100 % on ``a factor of 3.5``."""
    if detectable >= 1:
        return f"a factor of {significant(1 + detectable, 2)}"
    return f"{percents(detectable)} %"


def accuracy_sentence(subject: Subject, found: AccuracyDifference) -> str:
    """What a difference of test accuracies says, without a full stop.

    Args:
        subject: Its verb is ``reaches`` with the place after the number: ``on cifar-bn``.
        found: The difference.
    """
    one, other = subject.one, subject.other
    verdict, difference = found.verdict, found.estimate
    seeds = f" over {_seeds(found.seeds)}" if found.left_out else ""
    both = f"{percent(found.means[0])} and {percent(found.means[1])}{seeds}"
    if verdict.word == TIE:
        return (
            f"no difference in test accuracy of {accuracy_bound(difference)} was found between "
            f"{one} and {other} {subject.noun}: {both}"
        )
    if verdict.word != INCONCLUSIVE:
        gained = gain(difference, f" than {other}")
        return f"{one} {subject.verb} {gained} {subject.noun}: {both}"
    ours, theirs = map(percent, found.means)
    reached = f"{one} {subject.verb} {ours} test accuracy {subject.noun}, {other} {theirs}{seeds}"
    return f"{reached}: inconclusive, {_accuracy_reason(verdict, difference)}"


def _seeds(number: int) -> str:
    return f"the {number} seeds that both have" if number > 1 else "the seed that both have"


def _accuracy_reason(verdict: Verdict, difference: Estimate) -> str:
    """Why a difference of accuracies is inconclusive."""
    _, low, high = difference
    if verdict.reason != WIDE or low is None or high is None:
        return str(verdict.reason)
    half = fixed(100 * (high - low) / 2, 1)
    return (
        f"the interval reaches {_accuracy_reach(difference)}; a difference below {half} points "
        "could not have been found"
    )


def by_images_alone(accuracies: tuple[float, float], images: int) -> str:
    """A difference of accuracies of one seed each, with the 95 % interval that the number of test
    images leaves: ``10.0 points more; the 2,000 test images alone give [+7.1, +12.9]``; empty
    without images."""
    if images < 1:
        return ""
    # One success and one failure more on each side (Agresti and Caffo 2000): of two accuracies of
    # 100 % on twenty images the interval has a width, too.
    ours, theirs = ((images * accuracy + 1) / (images + 2) for accuracy in accuracies)
    reach = _NORMAL_95 * math.sqrt((ours * (1 - ours) + theirs * (1 - theirs)) / (images + 2))
    ends = POINTS.interval(ours - theirs - reach, ours - theirs + reach)
    difference = accuracies[0] - accuracies[1]
    return f"{more_points(difference)}; the {images:,} test images alone give {ends}"


def gain(difference: Estimate, than: str = "") -> str:
    """A difference of accuracies: ``1.3 points more test accuracy than PyTorch [+0.4, +2.1]``."""
    value, low, high = difference
    shown = f"{more_points(value)} test accuracy{than}"
    if low is None or high is None or not known(low) or not known(high):
        return shown
    return f"{shown} {POINTS.interval(low, high)}"


def more_points(difference: float) -> str:
    """``1.3 points more``, ``0.4 points less``."""
    return f"{fixed(abs(100 * difference), 1)} points {'more' if difference >= 0 else 'less'}"


def accuracy_bound(difference: Estimate) -> str:
    """What the interval of a tie stays below: ``0.7 points or more``, rounded up so it holds."""
    widest = max(abs(end) for end in difference[1:] if end is not None)
    tenths = max(1, math.ceil(round(1000 * widest, 6)))
    return f"{fixed(tenths / 10, 1)} points or more"


def _accuracy_reach(difference: Estimate) -> str:
    """The ends of an interval in words: ``from 3.1 points less to 4.0 points more``."""
    _, low, high = difference
    return f"from {' to '.join(more_points(end) for end in (low, high) if end is not None)}"
