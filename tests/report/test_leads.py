"""The sentences that chapters begin with."""

from __future__ import annotations

import dataclasses
import re

from bench.analysis.rows import Row, accuracy_rows
from bench.report.chapters.learning import divergence
from bench.report.chapters.learning.accuracy import with_and_without_weights
from bench.report.chapters.speed import break_even
from bench.report.leads import compared, extremes, who_among
from tests.support.parts import results_of
from tests.support.synthetic_records.synthetic import make_record


def rows_of(words: list[str], kinds: list[str] | None = None) -> list[Row]:
    case = dataclasses.asdict(make_record(kind="inference").case)
    some = kinds or ["inference"] * len(words)
    return [{**case, "verdict": word, "kind": of} for word, of in zip(words, some, strict=True)]


def test_many_comparisons_are_counted_with_the_names_of_both_sides() -> None:
    assert compared("verdict")([]) == ""
    frameworks = ("keras-jax", "keras-torch")
    words = ["faster"] * 3 + ["tie", "faster", "reference"]
    rows = [
        {**row, "framework": name, "execution": "", "reference": "pytorch"}
        for name in frameworks
        for row in rows_of(words)
    ]
    two = f"{rows[0]['variant']} in keras-jax and keras-torch compared with pytorch"
    assert compared("verdict")(rows) == f"{two}: 8 faster and 2 tie."
    same = [{**row, "verdict": "faster"} for row in rows]
    networks = [{**row, "variant": f"net-{i}"} for i, row in enumerate(same)]
    assert compared("verdict", before="BN: ")(networks) == (
        "BN: 12 networks in keras-jax and keras-torch compared with pytorch: "
        "faster in all 12 comparisons."
    )


def test_few_names_are_given_however_many_comparisons_they_have() -> None:
    kinds = ["train_throughput", "inference", "latency", "startup"]
    rows = [
        {**row, "reference": "pytorch"}
        for row in rows_of(["slower", "slower", "faster", "slower"], kinds)
    ]
    name = f"{rows[0]['variant']} in {rows[0]['framework']}"
    assert compared("verdict")(rows) == (
        f"Slower than pytorch: {name} (training, inference and start-up); "
        f"faster than pytorch: {name} (latency)."
    )
    assert compared("verdict", before="Speed: ")(rows[:1]) == (
        f"Speed: slower than pytorch: {name}."
    )
    own = [{**rows[0], "verdict": "tie", "reference": "its own cifar-plain"}]
    assert compared("verdict")(own) == f"Tie compared with their own cifar-plain: {name}."


def test_the_ends_of_a_range_are_told_apart() -> None:
    first, last = rows_of(["", ""], ["train_throughput", "inference"])
    sentence = extremes("From", "value", str)([{**first, "value": 1}, {**last, "value": 2}])
    name = f"{first['variant']} in {first['framework']}"
    assert sentence == f"From 1 ({name}, training) to 2 ({name}, inference)."


def test_a_row_is_told_from_others_of_its_network_and_framework() -> None:
    (row,) = rows_of(["tie"], ["accuracy"])
    name = f"{row['variant']} in {row['framework']}"
    assert who_among(row, [row, {**row, "framework": "keras-jax"}]) == name
    assert who_among(row, [row, {**row, "recipe": "another"}]) == f"{name}, {row['recipe']}"


def test_pretrained_networks_stand_next_to_the_best_one_from_scratch() -> None:
    """However many recipes are better than any training from scratch."""
    weights = {"init": "pretrained", "weights": "torchvision@01234567"}
    starts = [(90, weights), (89, weights), (88, weights), (87, weights), (50, {}), (40, {})]
    records = [
        make_record(
            "torchvision",
            kind="accuracy",
            track="tuned",
            recipe=f"recipe-{value}",
            samples=(value / 100,),
            **start,
        )
        for value, start in starts
    ]
    said = with_and_without_weights(accuracy_rows(results_of(records)))
    assert re.findall(r"(\d+)\.0 %", said) == ["90", "89", "88", "50"]
    assert "50.0 % (scratch, recipe recipe-50)" in said


def test_a_refused_training_is_not_said_to_stay_with_the_reference() -> None:
    rows = [
        {
            **dataclasses.asdict(make_record(kind="accuracy", framework="keras-jax").case),
            "reference": "pytorch",
            "first_difference": None,
            "divergence_step_0.01": None,
        }
    ]
    assert divergence.lead(rows) == ""
    together = [{**rows[0], "first_difference": 1e-7}]
    assert "1 of 1: not within the steps compared." in divergence.lead(together)


def test_a_caveat_on_one_start_takes_no_start_out_of_the_comparison() -> None:
    caveat = {"on": "accuracy", "why": "measured elsewhere"}
    records = [
        make_record(kind="accuracy", samples=(0.684,), init="pretrained", weights="bvlc"),
        make_record(kind="accuracy", samples=(0.354,), caveats=(caveat,)),
    ]
    said = with_and_without_weights(accuracy_rows(results_of(records)))
    assert said == (
        "Test accuracy of cifar-bn in pytorch: 68.4 % (pretrained bvlc, fine-tuned, recipe "
        "steady) and 35.4 % (scratch, recipe steady) ‡."
    )


def test_batches_of_one_network_are_told_apart_in_a_lead() -> None:
    case = dataclasses.asdict(make_record(kind="train_throughput").case)
    common = {"reference": "keras-jax", "reference_precision": case["precision"]}
    rows = [
        {**case, **common, "batch_size": batch, "verdict": break_even.AHEAD, "images": images}
        for batch, images in ((128, 205.0), (256, 410.0))
    ]
    said = break_even.lead(rows)
    assert "cifar-bn · batch 128: " in said
    assert "cifar-bn · batch 256: " in said
