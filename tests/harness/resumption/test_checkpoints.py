"""A run's trainings go on where they were stopped, and their final weights are kept."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from bench.core.errors import UserError
from bench.core.records import Record, RecordStore
from bench.core.system import nvml
from bench.harness import measure as measurements
from bench.harness.interleaving.interleave import InterleavedRun, TaskResults
from bench.harness.matrix import Job, Task, jobs
from bench.harness.profiles import Profile
from bench.harness.resumption import checkpoints
from bench.harness.resumption.checkpoints import RunFiles
from bench.harness.run import Keys, Run, open_run, run_all
from bench.harness.selection import Selection
from bench.networks.inference import prediction_network
from bench.networks.weights import weights_digest
from bench.training.recipes import RECIPES
from bench.weights.sources import open_weights
from bench.worker import environment
from bench.worker.checkpoints import found, write
from tests.support import fakes


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fakes.install(monkeypatch, tmp_path / "cache")


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(fakes.write_batches(tmp_path_factory.mktemp("data") / "small", fakes.images()))


class Listener:
    """Remembers notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def started(self, task: Task) -> None: ...
    def progress(self, done: float, note: str) -> None: ...
    def finished(self, record: Record) -> None: ...
    def certifying(self, done: float, note: str) -> None: ...
    def certificate_done(self, certificate: Any) -> None: ...
    def planned(self, plan: Any) -> None: ...
    def note(self, text: str) -> None:
        self.notes.append(text)


_LAST: list[Run] = []


def opened(results: Path, name: str, resume: bool, profile: Profile, data: str) -> tuple[Run, Keys]:
    """As `open_run`, after the process of the run before has ended."""
    while _LAST:
        _LAST.pop().release()
    run, done = open_run(results, name, resume, profile, data)
    _LAST.append(run)
    return run, done


def trained(run: Run, framework: str, **more: Any) -> tuple[Record, list[str]]:
    """The record of one training of a run, and what was reported to the user."""
    listener = Listener()
    chosen = Selection(frameworks=(framework,), tracks=("closed",), kinds=("accuracy",))
    run_all(run, jobs(chosen, run.profile), listener, parity=False, **more)
    return run.store.read()[-1], listener.notes


def start(results: Path, batches: str, *, resume: bool = False) -> tuple[Run, Any]:
    return opened(results, "run", resume, fakes.PROFILE, batches)


@contextmanager
def fresh(cache: Path) -> Iterator[pytest.MonkeyPatch]:
    """A run outside of a test: with the fakes, and its folder released at the end."""
    with pytest.MonkeyPatch.context() as patch:
        fakes.install(patch, cache)
        yield patch
        while _LAST:
            _LAST.pop().release()


@pytest.fixture(scope="module")
def died(module_folder: Path, batches: str) -> Path:
    """Results with a training whose worker was killed in its second epoch."""
    with fresh(module_folder / "cache"):
        run, _ = start(module_folder / "died", batches)
        record, _ = trained(run, "fake-dies-once")
    assert record.status == "failed"
    assert "SIGKILL" in str(record.error)
    return module_folder / "died"


@pytest.fixture
def killed(died: Path, tmp_path: Path) -> Path:
    """A copy of these results, and the mark with which the worker does not die again."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "died").touch()
    return Path(shutil.copytree(died, tmp_path / "results"))


def checkpoint_of(results: Path) -> Path:
    (folder,) = (results / "run" / checkpoints.FOLDER).iterdir()
    path = found(folder)
    assert path is not None
    return path


def test_a_killed_training_goes_on_to_the_same_losses(killed: Path, batches: str) -> None:
    assert checkpoint_of(killed).name.startswith("step-0000000005-")
    assert checkpoints.begun(killed / "run") == "1 checkpoint of a training"
    run, done = start(killed, batches, resume=True)
    record, notes = trained(run, "fake-dies-once", done=done)
    assert notes == [f"{record.case.id}: training goes on from step 5"]
    whole, _ = trained(opened(killed, "whole", False, fakes.PROFILE, batches)[0], "fake-two")
    for name in ("losses_sha256", "trained_weights_sha256", "step_losses", "confusion"):
        assert record.metrics[name] == whole.metrics[name]
    assert (record.metrics["parts"], whole.metrics["parts"]) == (2, 1)
    # The machine of all parts: a training that was disturbed before it was killed is disturbed.
    assert len(record.metrics["machine"]["seconds"]) == len(record.metrics["curve"])
    assert len(whole.metrics["machine"]["seconds"]) == len(whole.metrics["curve"])
    (failed,) = map(json.loads, (run.folder / "attempts.jsonl").read_text("utf-8").splitlines())
    assert record.started_at == failed["started_at"]
    assert not (run.folder / checkpoints.FOLDER).exists()


def test_a_killed_training_goes_on_once_only(killed: Path, batches: str) -> None:
    run, done = start(killed, batches, resume=True)
    trained(run, "fake-dies-once", done=done)
    run, done = start(killed, batches, resume=True)
    before = run.store.path.read_bytes()
    trained(run, "fake-dies-once", done=done)
    assert run.store.path.read_bytes() == before


def begins_again(killed: Path, batches: str) -> str:
    """The note of a training that does not go on from its checkpoint."""
    run, done = start(killed, batches, resume=True)
    record, (note,) = trained(run, "fake-dies-once", done=done)
    assert record.ok
    assert record.metrics["parts"] == 1
    assert record.metrics["curve"][-1]["step"] == 10
    assert note.startswith(f"{record.case.id}: ")
    return note.removeprefix(f"{record.case.id}: ")


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_checkpoint_is_said_and_not_used(killed: Path, batches: str, damage: str) -> None:
    path = checkpoint_of(killed)
    content = bytearray(path.read_bytes())
    if damage == "cut":
        del content[len(content) // 2 :]
    else:
        content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert begins_again(killed, batches) == (
        "checkpoint at step 5 not used: not a whole checkpoint (its content has another digest "
        "than its name); training begins again"
    )


@pytest.mark.parametrize("changed", ["code_digest", "versions_of", "processor"])
def test_a_checkpoint_of_other_code_versions_or_machine_is_not_used(
    killed: Path, batches: str, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    monkeypatch.setattr(checkpoints, changed, lambda *_: "another")
    name = {"code_digest": "code", "versions_of": "versions", "processor": "machine"}[changed]
    assert begins_again(killed, batches) == (
        f"checkpoint at step 5 not used: made with another {name}; training begins again"
    )


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_card_and_kept_variables_are_parts_of_the_machine(
    tmp_path: Path, batches: str, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    """Seconds of two cards, or of bound and unbound threads, are never in one record."""
    run, _ = start(tmp_path, batches)
    files = RunFiles(run.folder, run.dataset, fakes.LIMITS)
    case = fakes.case(device=device)
    task = Task(case, "train_throughput")
    results = [TaskResults(task)]

    def goes_on() -> tuple[bool, bool]:
        training, _ = files.training(case)
        seconds, _ = files.group([task]).take(results)
        return training.resume is not None, bool(seconds)

    def keep() -> None:
        checkpoints_written(files.training(case)[0].folder, files.training(case)[0].key)
        files.group([task]).keep(results, [1.0])

    keep()
    assert goes_on() == (True, True)
    monkeypatch.setattr(nvml.Card, "facts", lambda self: {"name": "another card"})
    assert goes_on() == (device == "cpu", device == "cpu")
    keep()
    monkeypatch.setenv(environment.KEPT, "")
    monkeypatch.setenv("OMP_PROC_BIND", "true")
    environment.keep(["OMP_PROC_BIND"])
    assert goes_on() == (False, False)


def test_a_checkpoint_of_another_recipe_is_not_used(
    killed: Path, batches: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slower = replace(RECIPES["short"], learning_rate=RECIPES["short"].learning_rate / 2)
    monkeypatch.setitem(RECIPES, "short", slower)
    assert "made with another recipe" in begins_again(killed, batches)


def test_a_checkpoint_of_other_data_is_not_used(tmp_path: Path, batches: str) -> None:
    run, _ = start(tmp_path, batches)
    case, limits = fakes.case(), fakes.LIMITS
    files, note = RunFiles(run.folder, run.dataset, limits).training(case)
    assert note is None
    checkpoints_written(files.folder, files.key)
    _, note = RunFiles(run.folder, run.dataset, limits).training(case)
    assert note == f"{case.id}: training goes on from step 3"
    other = fakes.images(90, 40)
    _, note = RunFiles(run.folder, other, limits).training(case)
    assert note is not None
    assert "made with another dataset;" in note


def checkpoints_written(folder: Path, key: dict[str, Any]) -> None:
    about = {"key": key, "started_at": "2026-01-01T00:00:00+00:00", "seconds": 1.5, "training": {}}
    write(folder, 3, about, [("kernel", np.zeros(2))])


def test_seconds_and_start_are_those_of_all_parts(tmp_path: Path, batches: str) -> None:
    run, _ = start(tmp_path, batches)
    files, _ = RunFiles(run.folder, run.dataset, fakes.LIMITS).training(fakes.case())
    checkpoints_written(files.folder, files.key)
    again, _ = RunFiles(run.folder, run.dataset, fakes.LIMITS).training(fakes.case())
    assert (again.started_at, again.seconds) == ("2026-01-01T00:00:00+00:00", 1.5)
    assert again.resume == found(files.folder)


def test_a_record_without_its_pruning_is_pruned_by_resume(killed: Path, batches: str) -> None:
    run, done = start(killed, batches, resume=True)
    record, _ = trained(run, "fake-dies-once", done=done)
    files, _ = RunFiles(run.folder, run.dataset, fakes.LIMITS).training(record.case)
    checkpoints_written(files.folder, files.key)
    run, done = start(killed, batches, resume=True)
    trained(run, "fake-dies-once", done=done)
    assert not (run.folder / checkpoints.FOLDER).exists()


@pytest.fixture(scope="module")
def saved(module_folder: Path, batches: str) -> tuple[Record, Path]:
    """A record, and the file of its weights."""
    with fresh(module_folder / "cache"):
        run, _ = start(module_folder / "saved", batches)
        run.save_weights = True
        record, _ = trained(run, "fake")
    assert record.metrics["saved_weights"].keys() == {"file", "weights_sha256"}
    return record, run.folder / checkpoints.WEIGHTS / record.metrics["saved_weights"]["file"]


@pytest.fixture
def kept(saved: tuple[Record, Path], tmp_path: Path) -> tuple[Record, Path]:
    """The record, and a copy of the file."""
    record, path = saved
    return record, Path(shutil.copy(path, tmp_path))


def test_final_weights_have_all_that_is_needed_to_use_them(kept: tuple[Record, Path]) -> None:
    record, path = kept
    with safe_open(path, "numpy") as file:
        texts = file.metadata()
    facts = json.loads(texts["alexbench"])
    assert (facts["variant"], facts["classes"], facts["input_size"]) == ("tiny", 10, 32)
    assert json.loads(texts["architecture"])["layers"]
    assert facts["categories"] == record.metrics["classes"]
    assert [facts["preprocessing"][name] for name in ("size", "resize", "stored")] == [32] * 3
    training = facts["training"]
    assert training["test_accuracy"] == record.metrics["test_accuracy"]
    assert training["recipe"] == record.settings["recipe"]
    assert training["case"] == record.case.to_json()
    assert training["dataset"]["fingerprint"] == record.dataset["fingerprint"]
    assert training["weights_sha256"] == weights_digest(load_file(path))
    assert training["weights_sha256"] == record.metrics["saved_weights"]["weights_sha256"]
    assert training["weights_sha256"] == record.metrics["trained_weights_sha256"]


def test_final_weights_are_a_source_with_class_names(kept: tuple[Record, Path]) -> None:
    record, path = kept
    network = prediction_network(*open_weights(str(path)))
    assert [network.label(i) for i in range(10)] == record.metrics["classes"]
    assert network.facts.training["test_accuracy"] == record.metrics["test_accuracy"]
    assert (
        f"{100 * record.metrics['test_accuracy']:.2f} % of the test images" in network.facts.notes
    )


def test_final_weights_that_were_changed_are_refused(kept: tuple[Record, Path]) -> None:
    _, path = kept
    tensors = load_file(path)
    with safe_open(path, "numpy") as file:
        texts = file.metadata()
    tensors["dense1.bias"][0] += 1
    save_file(tensors, path, texts)
    with pytest.raises(UserError, match="another digest than its facts state"):
        open_weights(str(path))


def test_weights_are_saved_when_asked_for_only(tmp_path: Path, batches: str) -> None:
    run, _ = start(tmp_path, batches)
    record, _ = trained(run, "fake")
    assert "saved_weights" not in record.metrics
    assert not (run.folder / checkpoints.WEIGHTS).exists()


def test_a_training_outlives_weights_that_cannot_be_saved(tmp_path: Path, batches: str) -> None:
    run, _ = start(tmp_path, batches)
    run.save_weights = True
    (run.folder / checkpoints.WEIGHTS).write_text("a file in the folder's place")
    record, _ = trained(run, "fake")
    assert record.ok
    assert record.metrics["saved_weights"]["problem"].startswith("weights not saved: ")
    (line,) = checkpoints.saved_weights([record], run.folder)
    assert line.endswith(record.metrics["saved_weights"]["problem"])


def test_names_of_weight_files_are_one_for_each_case() -> None:
    long = "w" * 300
    cases = [
        fakes.case(),
        fakes.case(seed=1),
        fakes.case(init="pretrained", weights=f"{long}@1"),
        fakes.case(init="pretrained", weights=f"{long}@2"),
        fakes.case(recipe="short@0.5"),
    ]
    names = [checkpoints.weights_name(case) for case in cases]
    assert len(set(names)) == len(cases)
    assert all(len(name) < 250 and "/" not in name for name in names)


def rounds_of(results: Path) -> list[Path]:
    return list((results / "run" / checkpoints.FOLDER).glob("group-*.json"))


def processes(record: Record) -> set[int]:
    return {block[0] for block in record.metrics["interleaving"]["blocks"]}


def pair() -> list[Job]:
    """Two frameworks whose latency is measured interleaved, in two rounds of processes."""
    chosen = Selection(frameworks=("fake", "fake-two"), tracks=("closed",), kinds=("latency",))
    return jobs(chosen, fakes.TWICE)


@pytest.fixture(scope="module")
def stopped(module_folder: Path, batches: str) -> tuple[Path, list[Any]]:
    """Results with a run that was stopped in its second round, and the samples of its first."""
    original = InterleavedRun.run_process

    def stops(self: InterleavedRun, process: int, spent: float) -> None:
        if process == 1:
            raise InterruptedError
        original(self, process, spent)

    results = module_folder / "stopped"
    with fresh(module_folder / "cache") as patch:
        run, _ = opened(results, "run", False, fakes.TWICE, batches)
        patch.setattr(InterleavedRun, "run_process", stops)
        with pytest.raises(InterruptedError):
            run_all(run, pair(), Listener(), parity=False)
    assert not run.store.path.exists()
    (path,) = rounds_of(results)
    done = json.loads(path.read_text("utf-8"))["content"]["results"]
    return results, [result["samples"] for result in done]


@pytest.fixture
def stopped_after_a_round(stopped: tuple[Path, list[Any]], tmp_path: Path) -> list[Any]:
    """A copy of the run in the test's own folder, and the samples."""
    results, first = stopped
    shutil.copytree(results, tmp_path, dirs_exist_ok=True)
    return first


def test_a_stopped_group_keeps_the_rounds_that_are_done(
    tmp_path: Path, batches: str, stopped_after_a_round: list[Any]
) -> None:
    assert checkpoints.begun(tmp_path / "run") == "1 round of processes"
    run, done = opened(tmp_path, "run", True, fakes.TWICE, batches)
    listener = Listener()
    run_all(run, pair(), listener, done=done, parity=False)
    assert checkpoints.begun(run.folder) == ""
    assert listener.notes == ["tiny: goes on with round 2 of processes"]
    records = run.store.read()
    assert [record.status for record in records] == ["ok", "ok"]
    for record, samples in zip(records, stopped_after_a_round, strict=True):
        assert record.samples[: len(samples)] == tuple(samples)
        assert processes(record) == {0, 1}
        assert record.started_at
        assert record.environment["machine_state"] == {}, "of the second round alone"
    assert rounds_of(tmp_path) == []
    assert not (run.folder / checkpoints.FOLDER).exists()


def test_a_narrower_selection_leaves_the_rounds_of_others(
    tmp_path: Path, batches: str, stopped_after_a_round: list[Any]
) -> None:
    run, done = opened(tmp_path, "run", True, fakes.TWICE, batches)
    chosen = Selection(frameworks=("fake",), tracks=("closed",), kinds=("accuracy",))
    run_all(run, jobs(chosen, fakes.TWICE), Listener(), done=done, parity=False)
    run, done = opened(tmp_path, "run", True, fakes.TWICE, batches)
    listener = Listener()
    run_all(run, pair(), listener, done=done, parity=False)
    assert listener.notes == ["tiny: goes on with round 2 of processes"]


def test_a_group_that_was_stopped_after_its_last_round_is_written_without_another(
    tmp_path: Path, batches: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stops(*_: Any) -> Record:
        raise InterruptedError

    run, _ = opened(tmp_path, "run", False, fakes.TWICE, batches)
    original = measurements._timed_record
    monkeypatch.setattr(measurements, "_timed_record", stops)
    with pytest.raises(InterruptedError):
        run_all(run, pair(), Listener(), parity=False)
    monkeypatch.setattr(measurements, "_timed_record", original)
    run, done = opened(tmp_path, "run", True, fakes.TWICE, batches)
    run_all(run, pair(), Listener(), done=done, parity=False)
    records = run.store.read()
    assert [processes(record) for record in records] == [{0, 1}, {0, 1}]
    # The machine as the stopped process saw it, not in the microseconds of this one.
    states = [record.environment["machine_state"] for record in records]
    assert states[0] == states[1]
    assert "others" in states[0]


@pytest.fixture(scope="module")
def cut(module_folder: Path, batches: str) -> Path:
    """Results with a run that was killed after the first of the two records of a group."""
    append = RecordStore.append

    def killed(store: RecordStore, record: Record) -> None:
        if store.path.exists():
            raise InterruptedError
        append(store, record)

    with fresh(module_folder / "cache") as patch:
        run, _ = opened(module_folder / "cut", "run", False, fakes.TWICE, batches)
        patch.setattr(RecordStore, "append", killed)
        with pytest.raises(InterruptedError):
            run_all(run, pair(), Listener(), parity=False)
    assert len(run.store.read()) == 1
    return module_folder / "cut"


@pytest.fixture
def killed_between_records(cut: Path, tmp_path: Path, batches: str) -> tuple[Run, Keys]:
    """A copy of the run in the test's own folder, resumed."""
    shutil.copytree(cut, tmp_path, dirs_exist_ok=True)
    return opened(tmp_path, "run", True, fakes.TWICE, batches)


def test_a_group_that_was_killed_between_two_records_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_between_records: tuple[Run, Keys]
) -> None:
    run, done = killed_between_records
    (path,) = rounds_of(tmp_path)
    results = json.loads(path.read_text("utf-8"))["content"]["results"]
    first = (tmp_path / "run" / "records.jsonl").read_bytes()

    def measures(*_: Any) -> None:
        raise AssertionError("the group is measured again")

    monkeypatch.setattr(InterleavedRun, "run_process", measures)
    listener = Listener()
    run_all(run, pair(), listener, done=done, parity=False)
    assert listener.notes == ["tiny: records of 2 rounds of processes are completed"]
    records = run.store.read()
    assert run.store.path.read_bytes().startswith(first)
    assert [record.case.framework for record in records] == ["fake", "fake-two"]
    interleavings = [record.metrics["interleaving"] for record in records]
    assert len({found["group"] for found in interleavings}) == 1
    assert len({found["group_seconds"] for found in interleavings}) == 1
    for record, result in zip(records, results, strict=True):
        assert list(record.samples) == result["samples"]
    assert rounds_of(tmp_path) == []


def test_what_a_group_of_other_code_lacks_is_a_group_of_its_own(
    monkeypatch: pytest.MonkeyPatch, killed_between_records: tuple[Run, Keys]
) -> None:
    run, done = killed_between_records
    monkeypatch.setattr(checkpoints, "code_digest", lambda *_: "another")
    listener = Listener()
    run_all(run, pair(), listener, done=done, parity=False)
    assert listener.notes[0].startswith("tiny: rounds of processes not used: made with another")
    records = run.store.read()
    assert [record.status for record in records] == ["ok", "ok"]
    assert len({record.metrics["interleaving"]["group"] for record in records}) == 2


@pytest.mark.parametrize("wrong", ["damaged", "code"])
@pytest.mark.usefixtures("stopped_after_a_round")
def test_rounds_that_are_damaged_or_of_other_code_are_measured_again(
    tmp_path: Path, batches: str, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    (path,) = rounds_of(tmp_path)
    path.with_name("group-of-which-a-part-has-records.json").write_text("{}")
    if wrong == "damaged":
        path.write_text(path.read_text("utf-8").replace("0.0", "0.1", 1), "utf-8")
    else:
        monkeypatch.setattr(checkpoints, "code_digest", lambda *_: "another")
    run, done = opened(tmp_path, "run", True, fakes.TWICE, batches)
    listener = Listener()
    run_all(run, pair(), listener, done=done, parity=False)
    reason = "damaged (its content has another digest)" if wrong == "damaged" else "made with"
    (note,) = listener.notes
    assert note.startswith(f"tiny: rounds of processes not used: {reason}")
    assert [processes(record) for record in run.store.read()] == [{0, 1}, {0, 1}]
    assert rounds_of(tmp_path) == []
