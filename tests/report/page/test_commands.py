"""The command of a record selects the record's case."""

from __future__ import annotations

import json
import shlex
from dataclasses import fields, replace
from pathlib import Path

import pytest

from bench.core.records import RecordStore
from bench.harness.matrix import jobs
from bench.harness.profiles import profile
from bench.harness.selection import Selection
from bench.report.page.commands import begun, command_of
from bench.training import frameworks
from tests.support.command_line import parsed
from tests.support.synthetic_records.synthetic import make_record

QUICK = Path(__file__).parents[3] / "results" / "reference-2026-11-26-quick"


def selected(command, monkeypatch):
    """Keys of the tasks that a command measures."""
    monkeypatch.setattr(frameworks.Framework, "missing", lambda _: None)
    words = shlex.split(command)
    assert words[:2] == ["alexbench", "run"]
    options = parsed(words[2:]).params
    names = {field.name for field in fields(Selection)}
    selection = Selection(**{k: v for k, v in options.items() if k in names})
    found = jobs(selection, profile(options["profile"]))
    return {task.key for job in found for task in job.tasks}


def test_the_command_of_every_published_quick_record_measures_it(monkeypatch):
    records, options = RecordStore(QUICK).read(), begun(QUICK)
    assert options["profile"] == "quick"
    for record in records:
        found = selected(command_of(record, options), monkeypatch)
        assert record.key in found
        assert len(found) == record.case.seed + 1


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "accuracy", "recipe": "standard@0.25", "seed": 2},
        {"kind": "accuracy", "recipe": "standard", "batch_size": 64},
        {"kind": "train_throughput", "track": "idiomatic", "precision": "bfloat16"},
        {"kind": "latency", "device": "cuda", "execution": "compiled"},
        {"kind": "train_throughput", "devices": 2},
        {"kind": "startup", "variant": "torchvision", "input_size": 224, "batch_size": 16},
    ],
)
def test_the_command_of_any_case_measures_it(changes, monkeypatch):
    record = make_record(**changes)
    options = {"profile": "full"}
    assert record.key in selected(command_of(record, options), monkeypatch)


def test_what_the_run_was_begun_with_is_in_the_command():
    options = {"profile": "quick", "data": "my data", "resize": 64, "keep_env": ["A", "B"]}
    command = command_of(make_record(), options)
    assert command.startswith(
        "alexbench run --profile quick --data 'my data' --resize 64 --keep-env A --keep-env B "
    )


def test_one_device_of_a_run_on_several_stays_a_share_of_the_processor():
    record = make_record(kind="train_throughput")
    assert " --devices 1 " in command_of(record, {"profile": "quick", "devices": [1, 2]})
    assert "--devices" not in command_of(record, {"profile": "quick"})


@pytest.mark.parametrize(("init", "there"), [("pretrained", True), ("scratch", False)])
def test_how_weights_are_read_is_said_where_there_are_some(init, there):
    record = make_record(init=init, weights="mine@12" if there else None)
    command = command_of(record, {"profile": "quick", "key": "ema", "partial": True})
    assert ("--key ema --partial" in command) is there


def test_weights_from_a_file_keep_its_suffix(tmp_path):
    record = make_record(init="pretrained", weights="mine@12")
    (tmp_path / "run.json").write_text('{"options": {"weights": "/data/mine.pth"}}', "utf-8")
    assert "--weights mine.pth " in command_of(record, begun(tmp_path))
    assert "--weights mine " in command_of(record)
    assert "--weights mine " in command_of(record, {"weights": "other.pth"})


def test_names_are_quoted():
    record = make_record()
    record = replace(record, case=replace(record.case, variant="x; rm -rf /"))
    assert shlex.split(command_of(record))[3] == "x; rm -rf /"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"options": 3}', "{}"])
def test_a_run_whose_settings_cannot_be_read_has_none(text, tmp_path):
    (tmp_path / "run.json").write_text(text, encoding="utf-8")
    assert begun(tmp_path) == {}


def test_options_without_a_value_are_left_out(tmp_path):
    options = {"profile": "quick", "data": "auto", "threads": None, "validation": False}
    (tmp_path / "run.json").write_text(json.dumps({"options": options}), encoding="utf-8")
    assert begun(tmp_path) == {"profile": "quick", "data": "auto"}


def test_folders_of_the_machine_that_measured_are_in_no_command(tmp_path):
    options = {"data": "/home/someone/images/cifar10.tar", "weights": "/home/someone/w.npy"}
    (tmp_path / "run.json").write_text(json.dumps({"options": options}), "utf-8")
    assert begun(tmp_path) == {"data": "cifar10.tar", "weights": "w.npy"}
    # Names that stand for other data are none of a folder.
    for given, shown in (("/data/cifar10", "./cifar10"), (".", "./"), ("cifar10", "cifar10")):
        (tmp_path / "run.json").write_text(json.dumps({"options": {"data": given}}), "utf-8")
        assert begun(tmp_path) == {"data": shown}
