"""Model cards next to saved weights: what they say follows from the record."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from bench.cli.main import cli
from bench.core.records import Record, RecordStore
from bench.data import sources
from bench.report.model_cards import card, write_cards
from tests.support.synthetic_records.synthetic import FAILED_PARITY, OTHER_DATASET, make_record

SAVED = {"file": "one.safetensors", "weights_sha256": "ab" * 32}


def record(**changes: Any) -> Record:
    made = make_record(kind="accuracy", **changes)
    return dataclasses.replace(made, metrics=made.metrics | {"saved_weights": SAVED})


def test_a_card_has_data_accuracy_certificate_and_how_it_was_made() -> None:
    made = record()
    page = card(made)
    for title in ("Network", "Data", "Accuracy", "Certificate", "How it was made"):
        assert f"## {title}\n" in page
    accuracy = f"{made.metrics['test_accuracy']:.1%}".replace("%", " %")
    assert f"| test accuracy | {accuracy} (seed 0, one training) |" in page
    assert made.dataset["fingerprint"] in page
    assert "| parity certificate | pass |" in page
    assert made.case.id in page
    assert "Example CPU 9000" in page
    assert "torch 2.9.0" in page
    assert f"| {made.metrics['classes'][3]} | " in page


def test_a_failed_certificate_and_other_data_are_said() -> None:
    page = card(record(parity=FAILED_PARITY, dataset=OTHER_DATASET))
    assert "| parity certificate | fail |" in page
    assert "float64 gradients part at conv3.weight" in page
    assert "generated (not the official CIFAR-10" in page


def test_the_official_data_is_not_called_another() -> None:
    data = {**OTHER_DATASET, "name": sources.OFFICIAL}
    assert "| data set | CIFAR-10 |" in card(record(dataset=data))
    data["name"] = "CIFAR-10 (JPEG 75)"
    assert "| data set | CIFAR-10 (JPEG 75) (not the official CIFAR-10" in card(
        record(dataset=data)
    )


def test_a_track_without_certificates_claims_none() -> None:
    assert "none: the tuned track asks for none" in card(record(track="tuned"))


def test_a_caveat_of_the_record_is_on_the_card() -> None:
    made = dataclasses.replace(record(), caveats=({"on": "accuracy", "why": "half the images"},))
    assert "| caveats | half the images |" in card(made)


def test_names_and_caveats_end_no_cell() -> None:
    made = dataclasses.replace(record(), caveats=({"on": "accuracy", "why": "a\nb | c"},))
    found = {**made.metrics, "per_class": {"cats|dogs": 0.8}}
    page = card(dataclasses.replace(made, metrics=found))
    assert "| caveats | a b \\| c |" in page
    assert "| cats\\|dogs | 80.0 % |" in page


def test_a_card_lies_next_to_each_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "one.safetensors").touch()
    gone = {"file": "gone.safetensors", "weights_sha256": ""}
    absent = dataclasses.replace(record(), metrics=record().metrics | {"saved_weights": gone})
    plain = make_record(kind="accuracy")
    assert write_cards([record(), absent, plain], tmp_path) == [tmp_path / "one.md"]
    assert (tmp_path / "one.md").read_text("utf-8") == card(record())


@pytest.mark.usefixtures("undrawn")
def test_runs_of_one_name_keep_their_own_cards(tmp_path: Path) -> None:
    folders = [tmp_path / name / "quick" for name in ("a", "b")]
    made = [record(), dataclasses.replace(record(), caveats=({"on": "accuracy", "why": "half"},))]
    for folder, one in zip(folders, made, strict=True):
        RecordStore(folder).append(one)
        (folder / "weights").mkdir()
        (folder / "weights" / "one.safetensors").touch()
    words = ["report", *map(str, folders), "-o", str(tmp_path / "both")]
    assert not cli.main(words, standalone_mode=False)
    for folder, one in zip(folders, made, strict=True):
        assert (folder / "weights" / "one.md").read_text("utf-8") == card(one)
    assert card(made[0]) != card(made[1])
