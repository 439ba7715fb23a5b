"""Model cards next to saved weights: what they say follows from the record."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from bench.core.records import Record
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


def test_a_track_without_certificates_claims_none() -> None:
    assert "none: the tuned track asks for none" in card(record(track="tuned"))


def test_a_caveat_of_the_record_is_on_the_card() -> None:
    made = dataclasses.replace(record(), caveats=({"on": "accuracy", "why": "half the images"},))
    assert "| caveats | half the images |" in card(made)


def test_a_card_lies_next_to_each_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "one.safetensors").touch()
    gone = {"file": "gone.safetensors", "weights_sha256": ""}
    absent = dataclasses.replace(record(), metrics=record().metrics | {"saved_weights": gone})
    plain = make_record(kind="accuracy")
    assert write_cards([record(), absent, plain], tmp_path) == [tmp_path / "one.md"]
    assert (tmp_path / "one.md").read_text("utf-8") == card(record())
