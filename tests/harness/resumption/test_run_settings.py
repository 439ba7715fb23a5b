"""What a run was begun with is kept, compared when it goes on, and named where it differs."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from bench.analysis.audit.begun import begun_of
from bench.cli.resuming import Choice
from bench.core.errors import UserError
from bench.core.records import FILE, Record, RecordStore
from bench.core.run_paths import RUN_FILE
from bench.harness.matrix import jobs
from bench.harness.resumption import run_settings
from bench.harness.resumption.run_settings import Begun, RunSettings
from bench.harness.run import folder_to_resume, open_run, run_all
from bench.harness.selection import Selection
from bench.report.page.commands import begun
from tests.harness.test_run import Listener
from tests.support import fakes

OPTIONS = {"profile": "tiny", "seeds": 5, "variants": ("tiny",), "data": "auto"}
DATA = {"name": "CIFAR-10", "fingerprint": "a" * 64, "train_images": 80, "test_images": 40}


def settings(**changes: Any) -> RunSettings:
    begun = Begun("alexbench run", {**OPTIONS, **changes}, ("fake",))
    return RunSettings.now(begun, fakes.PROFILE, DATA)


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fakes.install(monkeypatch, tmp_path / "cache")


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(fakes.write_batches(tmp_path_factory.mktemp("data") / "small", fakes.images()))


def test_settings_come_back_as_they_were_written(tmp_path: Path) -> None:
    assert RunSettings.read(tmp_path) is None
    first = settings()
    first.write(tmp_path)
    assert RunSettings.read(tmp_path) == first
    assert first.differences(settings()) == []
    assert first.versions.keys() == {"python", "alexbench", "numpy"}
    assert len(first.code) == 16


def test_every_difference_is_named() -> None:
    before = settings()
    other = settings(seeds=3, variants=())
    assert before.differences(other) == ["--seeds 5, now 3", "--variants tiny, now none"]
    assert before.differences(replace(before, data={**DATA, "fingerprint": "b" * 64})) == [
        "data CIFAR-10 (aaaaaaaaaaaa), now CIFAR-10 (bbbbbbbbbbbb)"
    ]
    newer = {**before.versions, "numpy": "9", "other": "1"}
    (version,) = before.differences(replace(before, versions=newer))
    assert version.startswith("numpy ")
    assert version.endswith(", now 9")
    (code,) = before.differences(replace(before, code="x", commit="abc"))
    assert code.endswith("now of abc")
    (code,) = before.differences(replace(before, code="x"))
    assert code.endswith("with other edits")
    moved = replace(before, processor="another")
    assert before.differences(moved) == [f"processor {before.processor}, now another"]
    limits = replace(fakes.LIMITS, blocks=7)
    begun = Begun("", OPTIONS, ("fake",))
    edited = RunSettings.now(begun, replace(fakes.PROFILE, limits=limits), DATA)
    assert before.differences(edited) == ["the profile's limits.blocks 3, now 7"]


def test_the_processor_does_not_count_where_it_is_not_known_or_a_cluster_measures() -> None:
    before = settings()
    older, cluster = replace(before, processor=None), settings(executor="ray")
    assert older.differences(before) == []
    assert cluster.processor is None


@pytest.mark.parametrize("tasks", [None, [["a case", "latency"]]])
def test_tasks_of_older_versions_were_chosen(tmp_path: Path, tasks: list[Any] | None) -> None:
    """They listed no others; now all are listed, and the options say the same again."""
    settings().write(tmp_path)
    path = tmp_path / RUN_FILE
    found = json.loads(path.read_text("utf-8"))
    assert found.pop("chosen") is False
    path.write_text(json.dumps({**found, "tasks": tasks}))
    read = RunSettings.read(tmp_path)
    assert read
    assert read.chosen == bool(tasks)


def test_a_framework_that_was_installed_since_is_named() -> None:
    before = settings()
    now = replace(before, frameworks=["fake", "fake-two"])
    assert before.differences(now) == ["frameworks fake, now fake,fake-two"]
    assert replace(before, frameworks=[]).differences(now) == []  # of an older version
    other = replace(now, options={**before.options, "seeds": 3})
    assert before.differences(other) == ["--seeds 5, now 3"]  # of which the frameworks may follow


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("options", {name: 5}) for name in ("frameworks", "data", "device", "keep_env")),
        *(("options", {name: "x"}) for name in ("budget", "threads", "devices", "partial")),
        *(("options", {name: "a"}) for name in ("seeds", "validation", "batch_sizes")),
        ("options", {"threads": True}),
        *((name, 5) for name in ("tasks", "profile", "versions", "plan", "command", "resumed")),
        ("processor", 5),
        ("tasks", [1]),
        ("tasks", [["a case"]]),
        ("tasks", [["a case", 1]]),
        ("versions", {"numpy": 2}),
    ],
)
def test_a_field_of_another_type_is_named(tmp_path: Path, field: str, value: Any) -> None:
    settings().write(tmp_path)
    path = tmp_path / RUN_FILE
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), field: value}))
    name = next(iter(value)) if field == "options" else field
    with pytest.raises(UserError, match=rf"run\.json: cannot be read \(.*{name} must be"):
        RunSettings.read(tmp_path)
    assert begun(tmp_path) == {}
    with pytest.raises(UserError, match=f"{name} must be"):
        begun_of(tmp_path)


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    for name in (RUN_FILE, FILE):
        os.mkfifo(tmp_path / name)
    with pytest.raises(UserError, match="no regular file"):
        RunSettings.read(tmp_path)
    with pytest.raises(UserError, match="no regular file"):
        RecordStore(tmp_path).set_aside_failures()


def test_published_runs_can_be_read() -> None:
    folders = [path.parent for path in (Path(__file__).parents[3] / "results").glob("*/run.json")]
    assert folders
    assert all(RunSettings.read(folder) for folder in folders)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"options": 1}', "[" * 100_000])
def test_a_damaged_file_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / RUN_FILE).write_text(text)
    with pytest.raises(UserError, match=r"run\.json: cannot be read") as caught:
        RunSettings.read(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_digest_of_the_code_covers_what_measures_alone() -> None:
    assert not {"report", "analysis", "cli"} & set(run_settings.MEASURING)
    assert {"harness", "worker", "parity"} < set(run_settings.MEASURING)


def resumed(results: Path, batches: str, *, anyway: bool = False, **changes: Any) -> Any:
    begun = Begun("alexbench run", {**OPTIONS, **changes}, ("fake",))
    here = (results / "run").exists()
    return open_run(results, "run", here, fakes.PROFILE, batches, begun=begun, anyway=anyway)


def test_other_options_are_refused_and_anyway_gives_caveats(tmp_path: Path, batches: str) -> None:
    run, _ = resumed(tmp_path, batches)
    chosen = Selection(frameworks=("fake",), kinds=("startup",), tracks=("closed",))
    run_all(run, jobs(chosen, run.profile), Listener(run), parity=False)
    run.release()
    before = {path.name: path.read_bytes() for path in run.folder.iterdir()}

    with pytest.raises(UserError, match=r"run was begun with --seeds 5, now 3; .*--anyway"):
        resumed(tmp_path, batches, seeds=3)
    assert {path.name: path.read_bytes() for path in run.folder.iterdir()} == before

    run, done = resumed(tmp_path, batches, seeds=3, anyway=True)
    more = replace(chosen, kinds=("startup", "latency"))
    run_all(run, jobs(more, run.profile), Listener(run), done=done, parity=False)
    run.release()
    first, second = run.store.read()
    assert first.caveats == ()
    (caveat,) = second.caveats
    assert caveat["on"] == "all"
    assert "begun with --seeds 5, now 3" in caveat["why"]
    kept = json.loads((run.folder / RUN_FILE).read_text("utf-8"))
    assert kept["options"]["seeds"] == 5
    assert [entry["differences"] for entry in kept["resumed"]] == [["--seeds 5, now 3"]]


def opened(results: Path, batches: str, found: Any, *, anyway: bool = False) -> tuple[Any, Any]:
    """A run with the tasks of jobs, begun or gone on with."""
    tasks = tuple(task.key for job in found for task in job.tasks)
    begun = Begun("alexbench run", {"seeds": len(tasks)}, ("fake",), tasks)
    here = (results / "run").exists()
    return open_run(results, "run", here, fakes.PROFILE, batches, begun=begun, anyway=anyway)


def selected(seeds: int, *kinds: str) -> Any:
    chosen = Selection(frameworks=("fake",), tracks=("closed",), kinds=kinds, seeds=seeds)
    return jobs(chosen, fakes.PROFILE)


def test_more_seeds_are_added_to_a_run_without_a_caveat(tmp_path: Path, batches: str) -> None:
    for seeds in (1, 2):
        found = selected(seeds, "accuracy")
        run, done = opened(tmp_path, batches, found)
        run_all(run, found, Listener(run), done=done, parity=False)
        run.release()
    records = run.store.read()
    assert [record.case.seed for record in records] == [0, 1]
    assert all(record.caveats == () for record in records)
    kept = begun_of(run.folder)
    assert kept
    assert [tuple(task) for task in kept["tasks"]] == [record.key for record in records]
    assert kept["options"]["seeds"] == 2
    assert [entry["added"] for entry in kept["resumed"]] == [1]


def test_what_else_differs_when_trainings_are_added_stays_as_it_was_begun(
    tmp_path: Path, batches: str
) -> None:
    """Else a third call would find no difference, and measure without a caveat."""
    profile = fakes.PROFILE

    def begin(seeds: int, threads: int | None, *, anyway: bool = False) -> Any:
        tasks = tuple(task.key for job in selected(seeds, "accuracy") for task in job.tasks)
        begun = Begun("x", {"seeds": seeds, "threads": threads}, ("fake",), tasks)
        here = (tmp_path / "run").exists()
        run, _ = open_run(tmp_path, "run", here, profile, batches, begun=begun, anyway=anyway)
        run.release()
        return run

    begin(1, None)
    assert begin(3, 1, anyway=True).caveats
    settings = begun_of(tmp_path / "run")
    assert settings
    assert settings["options"] == {"seeds": 3, "threads": None}


def test_added_trainings_are_kept_with_anyway_and_its_caveat(tmp_path: Path, batches: str) -> None:
    opened(tmp_path, batches, selected(1, "accuracy"))[0].release()
    kept = tmp_path / "run" / RUN_FILE
    old = json.loads(kept.read_text("utf-8"))
    kept.write_text(json.dumps(old | {"code": "another"}), "utf-8")
    found = selected(2, "accuracy")
    with pytest.raises(UserError, match="code of commit"):
        opened(tmp_path, batches, found)
    run, _ = opened(tmp_path, batches, found, anyway=True)
    run.release()
    assert len(run.caveats) == 1
    settings = RunSettings.read(run.folder)
    assert settings
    assert len(settings.tasks or ()) == 2
    assert [sorted(entry)[0] for entry in settings.resumed] == ["added", "at"]


def test_a_framework_that_was_installed_since_is_not_added_unasked() -> None:
    before = replace(settings(), tasks=[A])
    now = replace(settings(seeds=6), tasks=[A, B], frameworks=["fake", "fake-two"])
    assert before.differences(now) == ["frameworks fake, now fake,fake-two"]
    asked = replace(now, options={**now.options, "frameworks": ["fake", "fake-two"]})
    assert before.differences(asked) == []


def test_measurements_that_the_same_options_select_no_more_are_named() -> None:
    """Of weights whose file has changed: the old trainings were never made, without a word."""
    before, now = (replace(settings(), tasks=tasks) for tasks in ([A, B, TIMED], [A, ["c", "x"]]))
    said = "accuracy of b and 1 more of the run, not selected now"
    assert before.differences(now) == [said]
    found = replace(before, options={**before.options, "batch_sizes": [0]})
    assert found.differences(replace(now, options=found.options)) == []


A, B, TIMED = ["a", "accuracy"], ["b", "accuracy"], ["a", "latency"]


@pytest.mark.parametrize("now", [[A, TIMED], [B], []], ids=["timed", "other", "fewer"])
def test_what_is_timed_is_not_added_and_no_training_is_dropped(now: list[list[str]]) -> None:
    before = replace(settings(), tasks=[A])
    assert before.differences(replace(settings(seeds=6), tasks=now)) == ["--seeds 5, now 6"]
    assert before.differences(replace(settings(seeds=6), tasks=[A, B])) == []
    assert before.differences(replace(settings(budget=0.5), tasks=[A, B])) != []


def test_tasks_are_kept_with_the_batch_sizes_that_were_found(tmp_path: Path, batches: str) -> None:
    run, _ = resumed(tmp_path, batches)
    chosen = Selection(frameworks=("fake",), kinds=("startup", "latency"), tracks=("closed",))
    found = jobs(chosen, run.profile)
    run.keep_tasks(found)
    run.release()
    settings = RunSettings.read(run.folder)
    assert settings
    assert settings.tasks == [list(task.key) for job in found for task in job.tasks]
    assert {kind for _, kind in settings.tasks} == {"startup", "latency"}
    assert not settings.chosen  # the options say the same again


@pytest.mark.parametrize("name", [".", "../run", "sub/.."])
def test_a_run_is_gone_on_with_from_within_its_folder(
    tmp_path: Path, batches: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """``--resume .`` looked for the newest run below the folder."""
    run, _ = resumed(tmp_path, batches)
    run.release()
    RecordStore(run.folder).append(Record(fakes.case(), "latency", "ok"))
    (run.folder / "sub").mkdir()
    monkeypatch.chdir(run.folder)
    choice = Choice.of(click.Context(click.Command("run")), {}, Path("results"), name, None)
    assert (choice.results / str(choice.name)).resolve() == run.folder.resolve()
    assert choice.name == "run"


def test_the_newest_run_is_gone_on_with_although_it_has_no_record_yet(
    tmp_path: Path, batches: str
) -> None:
    run, _ = open_run(tmp_path, "older", False, fakes.PROFILE, batches)
    RecordStore(run.folder).append(Record(fakes.case(), "latency", "ok"))
    run.release()
    run, _ = resumed(tmp_path, batches)
    run.release()
    os.utime(tmp_path / "older" / "records.jsonl", (0, 0))
    assert folder_to_resume(tmp_path, None) == tmp_path / "run"


def test_a_run_of_an_older_version_goes_on_with_options_of_its_own(
    tmp_path: Path, batches: str
) -> None:
    run, _ = open_run(tmp_path, "run", False, fakes.PROFILE, batches)
    record = Record(fakes.case(), "latency", "failed", dataset=run.dataset.describe())
    RecordStore(run.folder).append(record)
    run.release()
    run, done = resumed(tmp_path, batches)
    run.release()
    assert done == set()
    assert (run.folder / RUN_FILE).exists()
