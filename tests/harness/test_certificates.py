"""Certificates are made once, kept, carried by every closed record, and made again when stale."""

import ast
import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.cli import main
from bench.core.errors import UserError
from bench.core.records import Record
from bench.harness import ceilings, certificates
from bench.harness import run as runner
from bench.harness.certificates import Certificate, Subject, obtain
from bench.harness.matrix import jobs
from bench.harness.run import open_run, run_all
from bench.harness.selection import Selection
from bench.harness.source_code import files_of, modules_of
from bench.training.frameworks import FRAMEWORKS
from bench.worker import environment
from bench.worker.client import WorkerError
from tests.support import fakes


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    fakes.install(monkeypatch, tmp_path / "cache")
    return tmp_path / "cache" / "parity"


def subject(framework: str = "fake-certified", variant: str = "tiny") -> Subject:
    return Subject(variant, framework, "source", 32, 10)


def prove(*subjects: Subject, **more: Any) -> list[Certificate]:
    found = list(obtain(subjects, lambda done, note: None, **more))
    assert [s for s, _ in found] == list(dict.fromkeys(subjects))
    return [certificate for _, certificate in found]


@pytest.fixture
def no_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(*_: Any) -> None:
        raise AssertionError("a worker was started")

    with monkeypatch.context() as patched:
        patched.setattr(certificates, "Worker", refuse)
        yield


# ---- making and keeping


def test_a_certificate_says_what_was_proven_and_with_what() -> None:
    (found,) = prove(subject())
    assert (found["variant"], found["framework"], found["status"]) == (
        "tiny",
        "fake-certified",
        "pass",
    )
    assert found["figures"]["float32 logits"]["worst"] <= 1e-5
    assert (found["input_size"], found["logits_input_size"], found["steps"]) == (9, 32, 10)
    assert found["versions"].keys() >= {"numpy", "python"}
    assert len(found["weights_sha256"]) == len(found["batches_sha256"]) == 64
    assert found["problem"] == ""


def test_the_second_time_it_comes_from_the_cache(request: pytest.FixtureRequest) -> None:
    first = prove(subject())
    request.getfixturevalue("no_worker")
    assert prove(subject(), subject()) == first


def test_fresh_passes_the_cache_over(monkeypatch: pytest.MonkeyPatch) -> None:
    prove(subject())
    started = []
    real = certificates.Worker
    monkeypatch.setattr(certificates, "Worker", lambda *a: started.append(1) or real(*a))
    prove(subject(), fresh=True)
    assert started == [1]


def test_what_failed_is_not_kept(cache: Path) -> None:
    (found,) = prove(subject("fake-wrong"))
    assert found["status"] == "fail"
    assert found["problem"].startswith("float64 loss: loss, step 1 differs by")
    assert not cache.exists()


def test_a_check_that_fails_takes_back_what_had_passed(cache: Path) -> None:
    """``parity --fresh`` said "fail", and the next run took the old "pass"."""
    (found,) = prove(subject("fake-wrong"))
    certificates.cache(found | {"status": "pass"})
    assert certificates.cached(found["key"])
    prove(subject("fake-wrong"), fresh=True)
    assert certificates.cached(found["key"]) is None


def test_a_damaged_file_in_the_cache_is_proven_again(cache: Path) -> None:
    """Other damage: `tests.core.test_files`, of the function that reads the cache."""
    first = prove(subject())
    (path,) = cache.iterdir()
    path.write_text('{"status": "pass"}')
    assert prove(subject()) == first
    assert json.loads(path.read_text())["content"]["status"] == "pass"


def test_a_cache_that_cannot_be_written_stops_nothing(cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder should be")
    assert prove(subject())[0]["status"] == "pass"


def test_a_worker_that_dies_fails_its_own_proof_alone() -> None:
    wider = Subject("wider", "fake-dies-in-check", "source", 40, 10)
    dead, dead_too, sound = prove(subject("fake-dies-in-check"), wider, subject())
    for certificate in (dead, dead_too):
        assert certificate["status"] == "fail"
        assert certificate["problem"].startswith(
            "the parity check could not be carried out: worker killed"
        )
    assert sound["status"] == "pass"


def test_a_check_that_takes_too_long_says_so_and_not_what_its_worker_said_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_long(*_: Any) -> None:
        words = "no answer within 1800 s, worker stopped:\nE0000 failed call to cuInit"
        raise WorkerError("timeout", words)

    monkeypatch.setattr(certificates, "_ask", too_long)
    (found,) = prove(subject())
    assert found["problem"].endswith("no answer within 1800 s, worker stopped")


@pytest.mark.parametrize("status", ["oom", "timeout"])
def test_a_check_that_the_machine_ended_is_made_once_more_alone(
    monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    first, asked = certificates._ask, []

    def ends_once(worker: Any, subject: Subject, progress: Any) -> Certificate:
        asked.append(subject.variant)
        if asked == ["tiny"] or (asked.count("wider") == 1 and subject.variant == "wider"):
            raise WorkerError(status, "killed by the kernel")
        return first(worker, subject, progress)

    monkeypatch.setattr(certificates, "usable_cpus", lambda: [0])  # one after the other
    monkeypatch.setattr(certificates, "_ask", ends_once)
    wider = Subject("wider", "fake-wrong", "source", 40, 10)
    found = prove(subject(), wider)
    assert [certificate["status"] for certificate in found] == ["pass", "fail"]
    assert [certificate["framework"] for certificate in found] == ["fake-certified", "fake-wrong"]
    assert asked == ["tiny", "wider", "tiny", "wider"]


def test_a_framework_that_cannot_be_looked_into_fails_with_the_reason() -> None:
    (found,) = prove(subject("fake"))
    assert "cannot be checked" in found["problem"]


def test_networks_of_one_framework_have_a_worker_each(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    real = certificates.Worker
    monkeypatch.setattr(certificates, "Worker", lambda *a: started.append(1) or real(*a))
    found = prove(subject(), Subject("wider", "fake-certified", "source", 40, 10))
    assert [c["status"] for c in found] == ["pass", "pass"]
    assert started == [1, 1]


def test_frameworks_are_proven_side_by_side_on_cpus_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: dict[str, list[int]] = {}
    real = certificates.Worker

    def noting(case: Any, data: Any, limits: Any, cpus: list[int]) -> Any:
        given[case.framework] = cpus
        return real(case, data, limits, cpus)

    monkeypatch.setattr(certificates, "Worker", noting)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    prove(subject(), subject("fake-wrong"))
    assert sorted(given.values()) == [[0], [1]]
    given.clear()
    # The memory that may be used holds one check alone.
    monkeypatch.setattr(certificates, "usable_memory", lambda: certificates.CHECK_BYTES)
    prove(subject("fake-wrong"), subject("fake-dies-in-check"))
    assert sorted(given.values()) == [[0, 1], [0, 1]]


def test_whoever_stops_waiting_leaves_no_worker_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    real = certificates.Worker

    def noting(*arguments: Any) -> Any:
        started.append(real(*arguments))
        return started[-1]

    monkeypatch.setattr(certificates, "Worker", noting)
    proofs = obtain([subject(), subject("fake-slow-check")], lambda done, note: None)
    next(proofs)
    proofs.close()  # as when the user presses Ctrl-C
    assert len(started) == 2
    assert all(fakes.gone(worker._process.pid) for worker in started)


# ---- what it depends on


def test_another_network_has_another_key() -> None:
    keys = {
        subject().key,
        subject(variant="wider").key,
        subject("fake-wrong").key,
        replace(subject(), head="narrow").key,
        replace(subject(), input_size=40).key,
        replace(subject(), classes=7).key,
    }
    assert len(keys) == 6


def test_kept_variables_are_parts_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """They may round what a check would have compared."""
    before = subject().key, ceilings._key(FRAMEWORKS["fake-certified"], [], "cpu")
    monkeypatch.setenv(environment.KEPT, "")
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    environment.keep(["XLA_FLAGS"])
    after = subject().key, ceilings._key(FRAMEWORKS["fake-certified"], [], "cpu")
    assert before[0] != after[0]
    assert before[1] != after[1]


@pytest.mark.parametrize("changed", ["versions_of", "code_digest"])
def test_other_versions_or_code_have_another_key(
    monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    before = subject().key
    assert subject().key == before
    monkeypatch.setattr(certificates, changed, lambda *_: "another")
    assert subject().key != before


ROOT = Path(certificates.__file__).parents[2]


def test_a_certificate_depends_on_all_that_is_imported_to_make_it() -> None:
    """Otherwise an edit would leave a stale certificate."""
    folder = ROOT / "models_keras" / "backend"
    backends = [f"models_keras.backend.{path.stem}" for path in folder.glob("*.py")]
    found = _reached(
        ["bench.parity.certificate", "models_torch.trainer", "models_keras.trainer", *backends]
    )
    assert {"models_torch.preprocess", "models_keras.preprocess", "bench.networks.resize"} <= found
    packages = {name.split(".")[1] for name in found if name.startswith("bench.")}
    assert packages == set(certificates.CERTIFIED_PACKAGES)


def _reached(modules: Iterable[str]) -> set[str]:
    """Modules of this repository that are imported from there on, read from their source."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = ROOT / Path(*name.split(".")).with_suffix(".py")
        if name in found or not path.is_file():
            continue
        found.add(name)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module, *(f"{node.module}.{part.name}" for part in node.names)]
    return found


def _code_of(trainer: str) -> list[Path]:
    return list(files_of(certificates.CERTIFIED_PACKAGES, modules_of(trainer)))


def test_the_code_of_a_proof_includes_the_implementation() -> None:
    names = {path.as_posix() for path in _code_of("models_keras.trainer:create")}
    for part in (
        "models_keras/layers/lrn.py",
        "models_torch/optimizer.py",
        "bench/parity/reference.py",
    ):
        assert any(name.endswith(part) for name in names)
    own = [path.name for path in _code_of("tests.support.fakes:Proven")]
    assert "fakes.py" in own


# ---- in a run


class Listener:
    """Remembers the certificates and whether they came before the measurements."""

    def __init__(self) -> None:
        self.reported: list[str] = []

    def planned(self, plan: Any) -> None:
        raise AssertionError("these profiles have no time plan")

    def started(self, task: Any) -> None:
        self.reported.append("measuring")

    def progress(self, done: float, note: str) -> None:
        assert 0 <= done <= 1

    def note(self, text: str) -> None:
        self.reported.append(text)

    def certifying(self, done: float, note: str) -> None:
        assert note.startswith("parity of ")

    def certificate_done(self, certificate: Certificate) -> None:
        self.reported.append(f"{certificate['framework']} {certificate['status']}")

    def finished(self, record: Record) -> None:
        """Not of interest here."""


def measured(tmp_path: Path, **more: Any) -> tuple[list[Record], Listener]:
    data = str(fakes.write_batches(tmp_path / "small", fakes.images()))
    run, _ = open_run(tmp_path / "results", "run", False, fakes.PROFILE, data)
    chosen = Selection(
        frameworks=("fake-certified", "fake-wrong"),
        kinds=("latency",),
        tracks=("closed", "idiomatic"),
    )
    listener = Listener()
    run_all(run, jobs(chosen, run.profile), listener, **more)
    return run.store.read(), listener


def test_every_closed_record_carries_its_certificate(tmp_path: Path) -> None:
    records, listener = measured(tmp_path)
    assert listener.reported[:2] == ["fake-certified pass", "fake-wrong fail"]
    assert set(listener.reported[2:]) == {"measuring"}
    found = {(r.case.framework, r.case.track): r.parity for r in records}
    assert found["fake-certified", "closed"]["status"] == "pass"
    assert found["fake-certified", "closed"]["figures"]["float32 logits"]["worst"] <= 1e-5
    assert found["fake-wrong", "closed"]["status"] == "fail"
    assert "loss, step 1" in found["fake-wrong", "closed"]["problem"]
    for framework in ("fake-certified", "fake-wrong"):
        assert found[framework, "idiomatic"] == {"status": "not applicable"}


def test_without_parity_closed_records_are_unchecked(
    tmp_path: Path, no_worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, listener = measured(tmp_path, parity=False)
    assert set(listener.reported) == {"measuring"}
    for record in records:
        if record.case.track == "closed":
            assert record.parity["status"] == "unchecked"
            assert "no parity certificate" in record.parity["problem"]


# ---- the command


def run_cli(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """In this process, where the fakes are installed already; workers load the extension."""
    monkeypatch.setattr(main.extensions, "load", lambda: None)
    monkeypatch.setattr(sys, "argv", ["alexbench", *arguments])
    with pytest.raises(SystemExit) as ended:
        main.main()
    return int(ended.value.code or 0)


def test_parity_lists_every_variant_of_every_framework(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = ("--frameworks", "fake-certified,fake-wrong", "--variants", "tiny,wider")
    assert run_cli(monkeypatch, "parity", "--json", *chosen) == 1
    found = json.loads(capsys.readouterr().out)
    assert [(row["variant"], row["framework"], row["status"]) for row in found] == [
        ("tiny", "fake-certified", "pass"),
        ("wider", "fake-certified", "pass"),
        ("tiny", "fake-wrong", "fail"),
        ("wider", "fake-wrong", "fail"),
    ]


def test_parity_of_what_is_sound_exits_0_and_shows_the_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run_cli(monkeypatch, "parity", "--frameworks", "fake-certified", "--variants", "tiny") == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in lines[0].split("|")[1:5]] == [
        "variant", "framework", "parity", "float32 logits",
    ]  # fmt: skip
    assert "9 px, batch 4" in lines[2]


def test_parity_says_below_the_table_where_the_two_part(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(monkeypatch, "parity", "--frameworks", "fake-wrong", "--variants", "tiny") == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("tiny in fake-wrong: float64 loss: loss, step 1 differs by")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--frameworks", "nothing"), "unknown framework 'nothing'"),
        (("--variants", "nothing"), "unknown variant 'nothing'"),
        (("--frameworks", "fake-missing"), "no_such_module not installed"),
    ],
)
def test_parity_of_what_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    assert run_cli(monkeypatch, "parity", *arguments) == 2
    reported = capsys.readouterr().err
    assert said in reported
    assert reported.count("\n") == 1


def test_subjects_follow_the_case() -> None:
    case = fakes.case("fake", head="narrow", seed=3)
    found = Subject.of(case, 10)
    assert found == Subject.of(replace(case, seed=4, batch_size=7), 10)
    assert [layer.name for layer in found.architecture.layers][-1] == "head2"
    with pytest.raises(UserError, match="unknown variant"):
        _ = replace(found, variant="nothing").architecture
    assert runner.Subject is Subject
