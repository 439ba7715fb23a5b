"""The answers of the first screen: their words, their order, and what they must not claim."""

import re
import shlex
from dataclasses import replace

import pytest

from bench.analysis.rows import latency_rows, throughput_rows
from bench.analysis.values import value_of
from bench.core.records import RecordStore
from bench.report.blocks import stale
from bench.report.chapters.speed.startup import startup_rows
from bench.report.first_screen import answers as first_screen
from bench.report.first_screen import findings
from bench.report.first_screen.answers import (
    QUESTIONS,
    answers,
    certificates,
    command,
    how_to_read,
    lines,
    markdown,
)
from bench.report.first_screen.wording import by_images_alone, change, speed_bound
from bench.report.format import significant
from bench.report.html import write_results
from bench.report.report import Report
from bench.stats import estimates
from bench.stats.estimates import Estimate
from tests.support.command_line import parsed
from tests.support.parts import results_of
from tests.support.synthetic_records.synthetic import (
    DATASET,
    FAILED_PARITY,
    OTHER_DATASET,
    SETTINGS,
    make_record,
)
from tests.support.synthetic_records.synthetic_normalisation import (
    make_normalisations,
    make_trained,
)

TRAINING, SERVING, LEARNING, NORMALISING, PRETRAINING, SURE = range(6)
TENSORFLOW = {"framework": "keras-tensorflow"}


def timed(ratios, kind="train_throughput", variant="cifar-bn", processes=2, **changes):
    """PyTorch and Keras on TensorFlow, interleaved: ratios of speed by turn, in each process."""
    names = {"kind": kind, "variant": variant, "images_per_sample": 100, **changes}
    blocks = [[process, turn, 1] for process in range(processes) for turn in range(len(ratios))]
    metrics = {"interleaving": {"group": variant, "blocks": blocks}}
    seconds = tuple(1 / ratio for _ in range(processes) for ratio in ratios)
    keras = make_record(**names, **TENSORFLOW, samples=seconds, metrics=metrics)
    return [make_record(**names, samples=(1.0,) * len(seconds), metrics=metrics), keras]


def pretrained(fractions, **changes):
    weights = {"init": "pretrained", "weights": "torchvision@01234567", "recipe": "transfer"}
    return make_trained("torchvision", fractions, track="tuned", **{**weights, **changes})


def ends(said):
    """The interval in brackets, as numbers."""
    return [float(end) for end in said.split("[")[1].split("]")[0].split(", ")]


def sentence(place, records):
    return answers(records)[place].sentence


def test_faster_is_a_percentage_with_its_interval_and_not_a_ratio():
    said = sentence(TRAINING, timed([1.119, 1.12, 1.121]))
    assert said.startswith("Keras on TensorFlow trains cifar-bn 12 % faster than PyTorch [")
    assert said.endswith("] (closed track, float32, batch 128).")
    assert "1.12" not in said
    low, high = ends(said)
    assert 0 < low < 12 < high < 50


def test_slower_is_the_part_that_is_missing():
    said = sentence(TRAINING, timed([0.8, 0.8, 0.8]))
    assert "trains cifar-bn 20 % slower than PyTorch [" in said
    low, high = ends(said)
    assert -40 < low < -20 < high < 0


def test_from_twice_as_fast_on_it_is_a_factor():
    said = sentence(TRAINING, timed([2.4, 2.4, 2.4]))
    assert "trains cifar-bn 2.4 times as fast as PyTorch [2." in said


def test_a_tie_says_which_difference_was_not_found():
    said = sentence(TRAINING, timed([0.999, 1.0, 1.001] * 20, processes=8))
    assert said.startswith("No difference of ")
    assert " % or more was found between Keras on TensorFlow and PyTorch in training" in said
    assert int(said.split()[3]) <= 10


def test_what_is_not_known_is_inconclusive_with_the_interval_in_words():
    said = sentence(TRAINING, timed([0.7, 1.05, 1.5]))
    assert "is inconclusive: the interval reaches from" in said
    assert "slower to" in said
    assert "could not have been found" in said


def test_one_process_gives_no_verdict_however_large_the_effect():
    said = sentence(TRAINING, timed([3.0, 3.0, 3.0], processes=1))
    assert "is inconclusive: 3.0 times as fast here" in said
    assert "one process on a side" in said


def test_the_first_network_leads_whatever_its_result_and_the_rest_has_its_range_and_is_below():
    records = [
        *timed([3.0] * 3, variant="cifar-3x3", processes=1),
        *timed([1.3] * 3, variant="cifar-lrn"),
        *timed([0.5] * 3),
        *timed([0.7, 1.05, 1.5], variant="cifar-plain"),
    ]
    answer = answers(records)[TRAINING]
    assert answer.sentence.startswith("Keras on TensorFlow trains cifar-bn 50 % slower")
    others = "5 % faster to 3.0 times as fast (1 faster, 2 inconclusive)."
    assert answer.sentence.endswith(f"the other 3 comparisons: {others}")
    networks = ("cifar-lrn", "cifar-plain", "cifar-3x3")
    assert len(answer.details) == 3
    assert all(name in told for name, told in zip(networks, answer.details, strict=True))


def test_details_are_apart_by_track_and_brackets_and_tracks_are_explained():
    records = [
        *timed([0.7] * 3, track="tuned"),
        *timed([0.6] * 3, variant="cifar-lrn", track="tuned"),
        *timed([0.9] * 3, variant="cifar-lrn"),
    ]
    answer = answers(records)[TRAINING]
    assert "cifar-lrn 10 % slower" in answer.sentence
    assert answer.sentence.endswith("the other 2 comparisons: 40 % slower to 30 % slower.")
    assert ["tuned track" in line for line in answer.details] == [True, True]
    (explained,) = [line for line in lines(records) if line.startswith("Brackets are 95 %")]
    assert "Closed track (" in explained
    assert "Tuned track (" in explained
    assert "Idiomatic" not in explained
    pairs = "A difference in speed is of pairs of neighbouring blocks"
    assert pairs in explained
    assert pairs not in how_to_read([make_record(kind="accuracy")])


def test_precisions_that_differ_are_named():
    pytorch, keras = timed([1.5] * 3, track="tuned")
    keras = replace(keras, case=replace(keras.case, precision="bfloat16"))
    said = sentence(TRAINING, [pytorch, keras])
    assert "Keras on TensorFlow in bfloat16 trains cifar-bn" in said
    assert "PyTorch in float32" in said
    assert said.endswith("(tuned track, batch 128).")


def test_what_may_not_be_compared_has_no_number():
    pytorch, keras = timed([1.5] * 3)
    keras = replace(keras, settings={**keras.settings, "threads": {"intra_op": 1}})
    said = sentence(TRAINING, [pytorch, keras])
    assert "is not compared with PyTorch" in said
    assert "threads.intra_op 1 against 2" in said
    assert "%" not in said


def test_a_row_without_a_certificate_is_left_out_and_named():
    pytorch, keras = timed([1.5] * 3)
    answer = answers([pytorch, replace(keras, parity=FAILED_PARITY)])[TRAINING]
    assert "not compared: 1 of 2 rows has no passed parity certificate" in answer.sentence
    assert any("uncertified: cifar-bn in keras-tensorflow" in line for line in answer.details)
    failed = replace(keras, parity=FAILED_PARITY)
    answer = answers([pytorch, failed, *timed([1.5] * 3, variant="cifar-lrn")])[TRAINING]
    assert "cifar-lrn 50 % faster" in answer.sentence
    assert any("uncertified: cifar-bn in keras-tensorflow" in line for line in answer.details)


def test_one_framework_alone_was_measured_and_is_named():
    pytorch, keras = timed([1.5] * 3)
    assert sentence(TRAINING, [pytorch]).startswith("Measured in this run of PyTorch alone; `alex")
    elsewhere = replace(keras, dataset=OTHER_DATASET)
    assert sentence(TRAINING, [pytorch, elsewhere]).startswith(
        "Measured in this run of PyTorch and Keras on TensorFlow, but no network under the same "
    )
    assert sentence(SERVING, [pytorch]).startswith("Not measured in this run; ")


def test_the_bound_of_a_tie_holds_for_its_whole_interval():
    assert speed_bound(Estimate(1.0, 0.95, 1.052)) == "6 % or more"
    assert speed_bound(Estimate(1.0, 0.93, 1.03)) == "7 % or more"


def test_the_closed_track_leads_whatever_the_order_and_the_results():
    ratios = {"idiomatic": 1.75, "closed": 1.02, "tuned": 3.0}
    records = [r for track, ratio in ratios.items() for r in timed([ratio] * 3, track=track)]
    for some in (records, records[::-1]):
        said = sentence(TRAINING, some)
        assert "(closed track, float32, batch 128); the other 2 comparisons: 75 % faster to" in said


def test_frameworks_lead_and_executions_of_one_are_told_apart():
    records = timed([0.8, 0.81, 0.82])
    pytorch = records[0]
    execution = replace(pytorch.case, execution="compiled")
    compiled = replace(pytorch, case=execution, samples=tuple(0.9 for _ in pytorch.samples))
    answer = answers([*records, compiled])[TRAINING]
    assert answer.sentence.startswith("Keras on TensorFlow trains cifar-bn ")
    assert ">Keras on TensorFlow, closed " in answer.plot
    assert ">PyTorch compiled, closed " in answer.plot


def test_what_two_comparisons_share_is_drawn_once():
    records = learned([0.7, 0.71], [0.72, 0.73])
    jax = [
        replace(r, case=replace(r.case, framework="keras-jax"))
        for r in records
        if r.case.framework != "pytorch"
    ]
    plot = answers([*records, *jax])[LEARNING].plot
    assert plot.count(">PyTorch<") == 1
    assert plot.count("<circle") == 3


def test_an_interval_beyond_a_factor_of_two_has_ratios():
    assert change(Estimate(0.94, 0.12, 7.35)) == "0.94 times as fast [0.12, 7.35]"
    assert change(Estimate(0.3, 0.08, 1.1), "B") == "0.30 times as fast as B [0.08, 1.10]"
    assert change(Estimate(0.5, 0.43, 0.58)) == "50 % slower [-57, -42]"
    assert change(Estimate(1.09, 0.997, 1.2)) == "9 % faster [-0.3, +20]"


def test_what_is_inconclusive_twice_says_so_once():
    records = [
        *make_trained("cifar-plain", (0.5,)),
        *make_trained("cifar-bn", (0.6,)),
        *interleaved(("cifar-plain", 1.0), ("cifar-bn", 1.0)),
    ]
    said = sentence(NORMALISING, records)
    assert said.count("inconclusive") == 1
    assert "10.0 points more test accuracy (one seed each), training " in said


def interleaved(*networks):
    """Networks of one group in PyTorch, two processes of blocks of so many seconds, noisy."""
    blocks = [[process, turn, 1] for process in (0, 1) for turn in range(3)]
    metrics = {"interleaving": {"group": "all", "blocks": blocks}}
    return [
        make_record(
            variant=name,
            kind="train_throughput",
            images_per_sample=100,
            samples=tuple(seconds * slow for slow in noise),
            metrics=metrics,
        )
        for (name, seconds), noise in zip(
            networks, ((1.0, 1.3, 0.8) * 2, (1.2, 0.9, 1.1) * 2), strict=True
        )
    ]


def test_a_framework_that_is_much_slower_as_recommended_is_named_with_both_figures():
    def calls(seconds, **changes):
        return make_record(kind="latency", samples=(seconds,) * 5, **changes)

    stock = {"track": "idiomatic", "precision": "bfloat16"}
    records = [calls(0.0108), calls(0.0268, **stock)]
    said = sentence(SERVING, records)
    assert said.endswith(
        "PyTorch answers a single image of cifar-bn in 26.8 ms (p50) in the idiomatic track "
        "(bfloat16) and in 10.8 ms in the closed track (float32)."
    )
    assert "26.8" not in sentence(SERVING, [calls(0.02), calls(0.0268, **stock)])
    assert "26.8" not in sentence(SERVING, [calls(0.0108), calls(0.0268, track="tuned")])
    threads = {"settings": {**SETTINGS, "threads": {"intra_op": 1, "inter_op": 1}}}
    assert "26.8" not in sentence(SERVING, [calls(0.0108), calls(0.0268, **stock, **threads)])
    busy = replace(records[1], metrics={**records[1].metrics, "disturbed": 0.5})
    assert "26.8" not in sentence(SERVING, [records[0], busy])


@pytest.mark.parametrize("track", ["closed", "idiomatic"])
def test_a_framework_that_leaves_out_onednn_by_default_is_named_with_what_switches_it_on(track):
    def said(question=TRAINING, **settings):
        torch, keras = timed([0.5, 0.51, 0.49], track=track)
        return sentence(question, [torch, replace(keras, settings=settings)])

    assert said(onednn=False).endswith(
        f"Keras on TensorFlow computes without oneDNN in the {track} track, as it does by default "
        "on this processor; `TF_ENABLE_ONEDNN_OPTS=1 alexbench run --keep-env "
        "TF_ENABLE_ONEDNN_OPTS` measures it with oneDNN."
    )
    assert "oneDNN" not in said(SERVING, onednn=False)  # serving was not measured
    for settings in ({}, {"onednn": True}, {"onednn": None}):
        assert "oneDNN" not in said(**settings)
    asked = {"onednn": False, "kept_environment": ["TF_ENABLE_ONEDNN_OPTS=0"]}
    assert "oneDNN" not in said(**asked)


def test_that_onednn_is_left_out_is_said_once():
    def left_out(kind, track):
        names = {"kind": kind, "track": track, "framework": "keras-tensorflow"}
        return replace(make_record(**names), settings={"onednn": False})

    trained = left_out("train_throughput", "closed")
    assert "oneDNN" in sentence(TRAINING, [trained])
    assert "oneDNN" in sentence(SERVING, [left_out("inference", "closed")])
    assert "oneDNN" not in sentence(SERVING, [trained, left_out("inference", "closed")])
    said = sentence(SERVING, [trained, left_out("inference", "idiomatic")])
    assert "without oneDNN in the idiomatic track" in said


def test_figures_of_a_remark_are_those_of_the_tables():
    """Of several processes: the mean of their medians is another one than the median of all."""
    blocks = [[process, turn, 1] for process in range(2) for turn in range(3)]
    metrics = {"interleaving": {"group": "cifar-bn", "blocks": blocks}}
    names = {"kind": "inference", "images_per_sample": 100, "metrics": metrics}
    slow = {"track": "idiomatic", "precision": "bfloat16", "samples": (4.0,) * 3 + (8.0,) * 3}
    records = [make_record(**names, samples=(1.0,) * 6), make_record(**names, **slow)]
    rows = [row for results in Report(records).datasets for row in throughput_rows(results)]
    shown = {row["track"]: significant(row["images_per_second"]) for row in rows}
    said = sentence(SERVING, records)
    assert f"serves cifar-bn at {shown['idiomatic']} images/s in the idiomatic" in said
    assert f"at {shown['closed']} images/s in the closed track" in said


def test_the_value_of_calls_and_starts_is_that_of_the_tables():
    for kind, make, key in (("latency", latency_rows, "p50"), ("startup", startup_rows, "seconds")):
        records = [make_record(kind=kind, seed=seed) for seed in range(2)]
        (results,) = Report(records).datasets
        (row,) = make(results)
        assert row[key] == pytest.approx(value_of(records).value, rel=1e-12)
        assert row[key] != estimates.median_estimate([r.samples for r in records]).value


@pytest.mark.usefixtures("undrawn")
def test_an_answer_that_fails_costs_no_table_and_no_page(tmp_path, monkeypatch):
    def fails(*_):
        raise ValueError("planted")

    monkeypatch.setattr(first_screen, "small_plot", fails)
    records = timed([1.2] * 3)
    answer = answers(records)[TRAINING]
    assert answer.sentence.startswith("Keras on TensorFlow trains cifar-bn 20 % faster")
    assert "The plot of this answer could not be made: ValueError: planted." in answer.details
    monkeypatch.setattr(first_screen, "how_sure", fails)
    html = write_results(records, tmp_path).read_text(encoding="utf-8")
    assert html.count("could not be made: ValueError: planted.") == 2
    assert (tmp_path / "tables" / "throughput.md").is_file()


def test_serving_has_batches_and_single_images():
    records = [*timed([1.2] * 3, kind="inference"), *timed([1.5] * 3, kind="latency")]
    answer = answers(records)[SERVING]
    assert answer.sentence.startswith("Keras on TensorFlow serves cifar-bn 20 % faster")
    assert answer.sentence.endswith("; the other comparison: 50 % faster on single images.")
    assert answer.details[0].startswith("Keras on TensorFlow answers single images of cifar-bn 50")


def learned(ours, theirs, **changes):
    keras = make_trained("cifar-bn", theirs, **TENSORFLOW, **changes)
    return [*make_trained("cifar-bn", ours, **changes), *keras]


def test_accuracies_are_compared_in_points():
    said = sentence(LEARNING, learned((0.600, 0.601, 0.602), (0.620, 0.6205, 0.622)))
    assert "reaches 2.0 points more test accuracy than PyTorch [" in said
    assert said.endswith("on cifar-bn: 62.1 % and 60.1 % (closed track, float32).")


def test_frameworks_that_start_from_other_weights_are_said_to():
    both = learned((0.60, 0.61), (0.62, 0.63), track="tuned")
    words = "From scratch each framework draws its own initial weights in the tuned track, so a "
    assert words in sentence(LEARNING, both)
    assert "initial weights" not in sentence(LEARNING, both[:2])  # one framework
    assert "initial weights" not in sentence(LEARNING, learned((0.60, 0.61), (0.62, 0.63)))
    changes = {"track": "tuned", "init": "pretrained", "weights": "bvlc@f3a2696f"}
    assert "initial weights" not in sentence(LEARNING, learned((0.6, 0.61), (0.6, 0.61), **changes))


def test_means_are_of_the_seeds_that_both_have():
    """ "1.0 points more: 71.6 % and 72.9 %": the means were of all seeds of each side."""
    said = sentence(LEARNING, learned((0.700, 0.712, 0.750, 0.752), (0.7101, 0.7222)))
    assert "1.0 points more test accuracy than PyTorch" in said
    assert "71.6 % and 70.6 % over the 2 seeds that both have" in said


def test_equal_accuracies_are_a_tie_with_its_bound():
    said = sentence(LEARNING, learned((0.60, 0.61, 0.62), (0.599, 0.611, 0.6211)))
    assert said.startswith("No difference in test accuracy of 0.")
    assert "points or more was found between Keras on TensorFlow and PyTorch" in said


def test_one_seed_is_inconclusive_and_shows_both_accuracies():
    said = sentence(LEARNING, learned((0.60,), (0.70,)))
    assert (
        "70.0 % test accuracy on cifar-bn, PyTorch 60.0 %: inconclusive, one seed on a side" in said
    )
    assert "chance" not in said


def test_one_seed_has_the_interval_that_its_test_images_leave():
    said = sentence(
        LEARNING, learned((0.60,), (0.70,), dataset={**OTHER_DATASET, "test_images": 2000})
    )
    assert "(10.0 points more; the 2,000 test images alone give [+7.1, +12.9])" in said
    said = by_images_alone((0.2, 0.6), 2000)
    assert said == "40.0 points less; the 2,000 test images alone give [-42.7, -37.2]"
    assert by_images_alone((1.0, 1.0), 20).endswith("test images alone give [-12.3, +12.3]")
    assert by_images_alone((0.2, 0.6), 0) == ""
    assert "test images alone" not in sentence(LEARNING, learned((0.6, 0.61), (0.7, 0.71)))


def test_findings_and_marks_name_the_data_where_there_are_two_sets_of_one_name():
    other = {**DATASET, "fingerprint": "f" * 64}
    records = [*timed([1.2] * 3), *(replace(r, dataset=other) for r in timed([1.4] * 3))]
    lead, *_ = [answer for answer in answers(records) if answer.details]
    words = " ".join([lead.sentence, *lead.details])
    for data in (DATASET, other):
        short = f"({data['fingerprint'][:12]})"
        assert short in words
        assert short in lead.plot
    both = [answer.sentence for answer in answers(with_onednn_left_out(records))]
    assert sum("computes without oneDNN" in said for said in both) == 1
    assert max(said.count("computes without oneDNN") for said in both) == 1


def with_onednn_left_out(records):
    keras = "keras-tensorflow"
    settings = [{**r.settings, "onednn": r.case.framework != keras} for r in records]
    return [replace(r, settings=s) for r, s in zip(records, settings, strict=True)]


def test_accuracies_at_chance_are_called_so():
    said = sentence(LEARNING, learned((0.105, 0.11), (0.11, 0.104)))
    assert "chance is 10 %, so neither has clearly learned" in said


def test_synthetic_images_are_named_where_something_was_learned():
    records = learned((0.8, 0.81), (0.9, 0.91), dataset=OTHER_DATASET)
    assert "synthetic images)" in sentence(LEARNING, records)
    assert any("the images are synthetic" in line for line in lines(records))


def test_bn_and_lrn_share_a_sentence_with_gain_and_cost():
    said = sentence(NORMALISING, make_normalisations())
    assert "cifar-bn (9 BN) compared with cifar-plain reaches 8." in said
    assert "and trains 20 % slower [" in said
    assert "; cifar-lrn (2 LRN) compared with cifar-plain" in said
    assert said.count("closed track") == 1


def test_a_normalisation_without_a_difference_says_which_was_not_found():
    records = [r for r in make_normalisations() if r.kind == "accuracy"]
    plain = [r for r in records if r.case.variant == "cifar-plain"]
    alike = [replace(r, case=replace(r.case, variant="cifar-lrn")) for r in plain]
    said = sentence(NORMALISING, [*plain, *alike])
    assert "shows no difference of 0.1 points or more in test accuracy" in said
    assert "was not timed in both" in said


def test_normalisations_under_several_conditions_say_which():
    small = [r for r in make_normalisations() if r.case.framework == "pytorch"]
    large = [replace(r, case=replace(r.case, batch_size=256)) for r in small]
    answer = answers([*small, *large])[NORMALISING]
    assert "(PyTorch, closed track, float32, batch 128)" in answer.sentence
    assert any("(PyTorch, closed track, float32, batch 256)" in line for line in answer.details)
    assert "batch" not in sentence(NORMALISING, small)
    one_only = [r for r in large if r.case.variant != "cifar-lrn"]
    said = sentence(NORMALISING, [*small, *one_only])
    assert "; cifar-lrn (2 LRN) compared with cifar-plain" in said
    assert said.count("batch 128") == 1


def test_a_normalisation_whose_speed_may_not_be_compared_keeps_its_accuracy():
    records = [r for r in make_normalisations() if r.case.framework == "pytorch"]
    other = {**records[0].environment, "cpu": "Another CPU"}
    moved = [
        replace(r, environment=other)
        if r.kind == "train_throughput" and r.case.variant == "cifar-bn"
        else r
        for r in records
    ]
    said = sentence(NORMALISING, moved)
    assert "cifar-bn (9 BN) compared with cifar-plain reaches 8." in said
    assert "; training speed is not compared: " in said


def test_one_seed_on_one_side_is_not_called_one_seed_each():
    records = [*make_trained("cifar-plain", (0.5, 0.51, 0.52)), *make_trained("cifar-bn", (0.6,))]
    said = sentence(NORMALISING, records)
    assert "(one seed on a side: inconclusive)" in said


def test_a_framework_that_was_not_measured_is_not_called_uncertified():
    skipped = make_record(
        **TENSORFLOW, kind="train_throughput", status="skipped", parity={}, settings={}
    )
    answer = answers([timed([1.0])[0], skipped])[TRAINING]
    assert not any("uncertified" in line for line in answer.details)


def test_pretraining_is_compared_with_scratch_on_the_same_network():
    scratch = make_trained("torchvision", (0.50, 0.51, 0.52), track="tuned")
    said = sentence(PRETRAINING, [*scratch, *pretrained((0.80, 0.81, 0.82))])
    assert said.startswith("torchvision from torchvision weights (fine-tuned) reaches 30.0 points")
    assert "than the same from scratch [" in said
    longer = [
        replace(record, metrics={**record.metrics, "train_images": images})
        for records, images in ((scratch, 11_968), (pretrained((0.8, 0.81, 0.82)), 120_000))
        for record in records
    ]
    said = sentence(PRETRAINING, longer)
    assert said.startswith("torchvision from torchvision weights (fine-tuned) after 120,000 images")
    assert "the same from scratch after 11,968 images" in said
    short = [
        replace(r, case=replace(r.case, recipe="short"), metrics={**r.metrics, "train_images": 7})
        for r in make_trained("torchvision", (0.1, 0.1, 0.1), track="tuned")
    ]
    assert sentence(PRETRAINING, [*longer, *short]) == said  # with the nearest number of images
    other = make_trained("torchvision", (0.5, 0.5), track="tuned", head="narrow")
    assert "from scratch is not measured" in sentence(PRETRAINING, [*other, *pretrained((0.8,))])


def test_pretraining_on_as_many_images_comes_first():
    """Ten epochs of a frozen trunk led, against one from scratch."""

    def of_images(records, images):
        seen = {"train_images": images}
        return [replace(r, metrics={**r.metrics, **seen}) for r in records]

    scratch = of_images(make_trained("torchvision", (0.50, 0.51), track="tuned"), 100)
    frozen = pretrained((0.70, 0.71), recipe="transfer-frozen", frozen=True)
    records = [*scratch, *of_images(frozen, 1000), *of_images(pretrained((0.8, 0.81)), 100)]
    answer = answers(records)[PRETRAINING]
    assert answer.sentence.startswith("torchvision from torchvision weights (fine-tuned) reaches")
    assert answer.details[0].startswith("torchvision from torchvision weights (trunk frozen) after")


def test_pretraining_with_two_recipes_draws_each_under_its_name():
    scratch = make_trained("torchvision", (0.50, 0.51), track="tuned")
    twice = [*pretrained((0.8, 0.81)), *pretrained((0.85, 0.86), recipe="transfer-long")]
    plot = answers([*scratch, *twice])[PRETRAINING].plot
    assert re.search(r">transfer-long<|recipe transfer-long", plot)
    assert plot.count("<circle") == 3
    assert "recipe" not in answers([*scratch, *twice[:2]])[PRETRAINING].plot


def test_both_tracks_are_named_where_accuracies_are_drawn():
    records = [r for track in ("closed", "idiomatic") for r in learned([0.6], [0.7], track=track)]
    plot = answers(records)[LEARNING].plot
    assert plot.count(">PyTorch, closed") == plot.count(">PyTorch, idiomatic") == 1


def test_what_was_not_measured_is_named_with_its_command():
    found = answers([])
    assert len(found) == 6
    for question, answer in zip(QUESTIONS, found, strict=False):
        needs = f" {question.needs}." if question.needs else ""
        line = f"Not measured in this run; `{command(question)}` measures it."
        assert answer.sentence == f"{line}{needs}"
        assert not answer.plot
    assert "alexbench fetch weights" in found[PRETRAINING].sentence


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.text)
def test_the_commands_are_ones_that_the_command_line_takes(question):
    program, name, *options = shlex.split(command(question))
    assert (program, name) == ("alexbench", "run")
    assert parsed(options).params


def test_a_certificate_of_another_network_is_no_passed_one():
    record = make_record(kind="accuracy")
    other = {**record.parity, "status": "pass", "variant": "cifar-lrn"}
    assert certificates([record]).startswith("1 of 1 result ")
    assert certificates([replace(record, parity=other)]).startswith("0 of 1 result ")


def test_how_sure_says_detectable_difference_certificates_and_machine():
    two = [*timed([1.1, 1.12, 1.14]), *timed([0.9, 1, 1.1], variant="cifar-lrn")]
    said = sentence(SURE, two)
    assert said.startswith("Detectable differences in speed of training between frameworks: ")
    assert "4 of 4 results of the closed track have a passed certificate." in said
    assert said.endswith("What else ran on the machine was not recorded.")
    alike = [*timed([1.1, 1.12, 1.14]), *timed([1.1, 1.12, 1.14], variant="cifar-lrn")]
    said = sentence(SURE, alike)
    assert said.startswith("Detectable difference in speed of training between frameworks: ")
    assert "% in all 2 comparisons." in said
    sizes = [float(size) for size in re.findall(r"([\d.]+) %", sentence(SURE, two)[:160])]
    low, high, middle = sizes[:3]
    assert low < middle < high, "the median of two is between them"
    alone = sentence(SURE, timed([1.1, 1.12, 1.14], processes=1))
    assert "none has a verdict" in alone


def test_a_caveat_has_its_sign_and_its_words():
    pytorch, keras = timed([1.5] * 3)
    keras = replace(keras, caveats=[{"on": "speed", "why": "measured on a train"}])
    said = lines([pytorch, keras])
    assert said[0].endswith("‡.")
    assert any("measured on a train" in line for line in said[1:])


@pytest.mark.usefixtures("undrawn")
def test_the_page_begins_with_the_answers(tmp_path):
    html = write_results(timed([1.2] * 3), tmp_path).read_text(encoding="utf-8")
    assert html.index('id="answers"') < html.index("fingerprint")
    assert html.index("How sure is this?") < html.index("<h3>")
    assert '<code>alexbench run <span class="whole">--profile</span> transfer' in html


def test_a_block_of_a_page_has_the_answers(tmp_path):
    for record in timed([1.119, 1.12, 1.121]):
        RecordStore(tmp_path / "results" / "one").append(record)
    page = tmp_path / "page.md"
    page.write_text("<!-- table: run=one name=answers -->\n<!-- /table -->\n", encoding="utf-8")
    assert stale(page, write=True)
    text = page.read_text(encoding="utf-8")
    assert "- **Who trains faster here?** Keras on TensorFlow trains cifar-bn 12 % faster" in text
    assert stale(page, write=False) == []
    assert len(markdown([])[0].splitlines()) == 6


def test_speeds_that_did_not_run_interleaved_say_so():
    pytorch, keras = timed([1.5] * 3, processes=4)
    alone = {"interleaving": {**keras.metrics["interleaving"], "group": "another"}}
    said = sentence(TRAINING, [pytorch, replace(keras, metrics=alone)])
    assert "50 % faster than PyTorch" in said
    assert ", not interleaved (" in said
    assert "not interleaved" not in sentence(TRAINING, timed([1.5] * 3))


def test_pretrained_weights_without_a_certificate_are_named_as_measured():
    records = [
        replace(record, case=replace(record.case, track="closed"), parity=FAILED_PARITY)
        for start in ({}, {"init": "scratch", "weights": None})
        for record in pretrained((0.7, 0.71), **start)
    ]
    said = sentence(PRETRAINING, records)
    assert said.startswith("Measured in this run, but not compared: 2 of 2 rows have no passed")


def test_a_new_last_layer_of_as_many_classes_is_compared_with_the_sources_own():
    ours = pretrained((0.7, 0.71), head="replace-last")
    theirs = pretrained((0.5, 0.51), init="scratch", weights=None, recipe="standard")
    said = sentence(PRETRAINING, [*ours, *theirs])
    assert "20.0 points more" in said
    assert "not measured" not in said


def test_precisions_of_one_framework_are_named_in_small_plots():
    found = [
        make_record(kind=kind, precision=precision, track="tuned", samples=samples, framework=name)
        for name, precision in (
            ("pytorch", "bfloat16"),
            ("pytorch", "float32"),
            ("keras-jax", "bfloat16"),
        )
        for kind, samples in (("accuracy", (0.6,)), ("train_throughput", (0.01, 0.011)))
    ]
    results = results_of(found)
    accurate = [mark.label for f in findings.learning(results, False) for mark in f.marks]
    names = ["PyTorch in bfloat16", "PyTorch in float32", "PyTorch in bfloat16", "Keras on JAX"]
    assert accurate == [f"cifar-bn, {name}, tuned" for name in names]
    speeds = [mark.label for f in findings.training(results, False) for mark in f.marks]
    assert len(set(speeds)) == len(speeds) == 2
