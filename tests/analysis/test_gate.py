"""The gate: slower than an earlier run only where the whole interval says so."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.analysis.across.entries import entries_of
from bench.analysis.comparison.gate import Gate, Rule
from bench.core.errors import UserError
from bench.core.records import Record, RecordStore
from bench.report.across.text import as_text
from tests.benchmarks.test_plugin import benchmark, the_run
from tests.support import fakes
from tests.support.synthetic_records.synthetic import make_record


def timed(factor: float, noise: float = 0.01, processes: int = 2, **changes: object) -> Record:
    """Ten blocks around ``factor`` seconds."""
    samples = tuple(factor * (1 + noise * ((7 * i) % 10 - 4.5) / 4.5) for i in range(10))
    record = replace(make_record(**changes), samples=samples)  # type: ignore[arg-type]
    blocks = [[process, turn, 1] for process in range(processes) for turn in range(10 // processes)]
    return replace(record, metrics={"interleaving": {"group": f"of {factor}", "blocks": blocks}})


def gate(rule: str | None = "slower:5%") -> Gate:
    return Gate([timed(1.0)], Rule.parse(rule) if rule else ())


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.04, 1.05])
def test_what_is_allowed_passes(factor: float) -> None:
    assert gate().failures([timed(factor)]) == []


def test_what_is_surely_slower_is_named_with_its_interval() -> None:
    (line,) = gate().failures([timed(1.2)])
    assert timed(1.2).case.id in line
    assert "0.833 times the speed [0.7" in line
    assert line.endswith("more than 5 % slower (whole 95 % interval)")


def test_one_process_fails_no_build_however_slow_it_was() -> None:
    alone = Gate([timed(1.0, processes=1)], Rule.parse("slower:5%"))
    assert alone.failures([timed(25.0, processes=1)]) == []
    assert "inconclusive" in as_text(entries_of(alone.earlier, [timed(25.0, processes=1)]))
    (line,) = alone.warnings([timed(25.0, processes=1)])
    assert line.startswith("slower:5% cannot fail in 1 of 1 rows: fewer than 2 processes")


def test_a_disturbed_measurement_fails_no_build_and_says_so() -> None:
    slow = timed(2.0)
    disturbed = replace(slow, metrics={**slow.metrics, "disturbed": 0.4})
    assert gate().failures([disturbed]) == []
    (line,) = gate().warnings([disturbed])
    assert line.startswith("slower:5% cannot fail in 1 of 1 rows: disturbed: others used the CPUs")


def test_noise_that_hides_a_slowdown_does_not_fail() -> None:
    assert gate().failures([timed(1.2, noise=0.4)]) == []
    assert gate("slower:25%").failures([timed(1.2)]) == []


def test_what_was_refused_or_not_measured_does_not_fail_next_to_what_was_compared() -> None:
    other = timed(9.0, framework="keras-jax", parity={"status": "fail"})
    earlier = Gate([timed(1.0), timed(1.0, framework="keras-jax")], Rule.parse("slower:5%"))
    assert earlier.failures([timed(1.0), other]) == []
    assert [row.verdict for row in earlier.compare([timed(1.0), other])] == ["tie", "refused"]
    (line,) = earlier.warnings([timed(1.0), other])
    assert line.startswith("slower:5%: 1 row was not compared: 1 refused (different parity")
    assert earlier.failures([timed(1.0)]) == []


def test_a_gate_that_compared_nothing_fails_and_says_why() -> None:
    other = timed(9.0, parity={"status": "fail"})
    assert [row.verdict for row in gate().compare([other])] == ["refused"]
    (line,) = gate().failures([other])
    assert line.startswith("slower:5%: nothing was compared: 1 refused (different parity status")
    (line,) = gate().failures([timed(1.0, framework="keras-jax")])
    assert line == "slower:5%: nothing was compared: 1 only in B"
    (line,) = gate().failures([])
    assert line.startswith("slower:5%: nothing was compared")
    assert gate().compare([]) == []


def accuracies(*fractions: float) -> list[Record]:
    return [
        make_record(kind="accuracy", seed=seed, samples=(fraction,))
        for seed, fraction in enumerate(fractions)
    ]


def test_an_accuracy_that_is_surely_lower_fails_once_for_all_seeds() -> None:
    earlier = Gate(accuracies(0.65, 0.652, 0.651), Rule.parse("accuracy:-1pt"))
    (line,) = earlier.failures(accuracies(0.62, 0.623, 0.621))
    assert "accuracy: mean over seeds [-3." in line
    assert line.endswith("more than 1 points lower (whole 95 % interval)")
    assert earlier.failures(accuracies(0.645, 0.646, 0.647)) == []
    assert earlier.failures(accuracies(0.62, 0.65, 0.651)) == []  # the interval holds 1 point


def test_each_rule_must_find_something_to_compare() -> None:
    both = Gate([timed(1.0), *accuracies(0.65, 0.652)], Rule.parse("slower:5%, accuracy:-1pt"))
    (line,) = both.failures([timed(1.0)])
    assert line.startswith("accuracy:-1pt: nothing was compared")
    assert both.failures([timed(1.0), *accuracies(0.65, 0.652)]) == []


def test_without_a_rule_nothing_fails() -> None:
    assert gate(None).failures([timed(9.0)]) == []
    assert "0.111" in as_text(entries_of(gate(None).earlier, [timed(9.0)]))


@pytest.mark.parametrize(
    "text",
    [
        *("", "5%", "slower", "slower:5", "slower:-5%", "faster:5%", "accuracy:1pt"),
        *("accuracy:-1%", "slower:5%;accuracy:-1pt", "slower:5%,"),
    ],
)
def test_a_rule_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="must look like slower:5%"):
        Rule.parse(text)


def test_two_rules_of_a_kind_are_refused() -> None:
    with pytest.raises(UserError, match="one rule on speed and one on accuracy"):
        Rule.parse("slower:5%,slower:10%")


def test_a_rule_without_a_run_is_refused() -> None:
    with pytest.raises(UserError, match="--bench-compare RUN"):
        Gate.of(None, "slower:5%")
    assert Gate.of(None, None) is None


# ---- through pytest


def _measuring(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Sessions in a folder, with the fakes on a machine that counts as quiet, and no plots."""
    fakes.install(patch, folder / "cache")
    extensions = f"tests.support.plugins.fake_on_a_quiet_machine,{fakes.UNDRAWN}"
    patch.setenv("ALEXBENCH_EXTENSIONS", extensions)
    patch.chdir(folder)


@pytest.fixture(scope="module")
def batches(module_folder: Path) -> str:
    return str(fakes.write_batches(module_folder / "data" / "small", fakes.images()))


@pytest.fixture(scope="module")
def before(module_folder: Path, batches: str) -> list[Record]:
    """The records of a run."""
    with pytest.MonkeyPatch.context() as patch:
        _measuring(patch, module_folder)
        done = chosen(batches)
        assert done.returncode == 0, done.stdout
        return RecordStore(the_run()).read()


@pytest.fixture
def earlier(
    before: list[Record], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[float], str]:
    """Writes an earlier run, whose samples took ``factor`` of the time that they did."""
    _measuring(monkeypatch, tmp_path)

    def run(factor: float) -> str:
        store = RecordStore(Path("earlier"))
        for record in before:
            seconds = tuple(factor * sample for sample in record.samples)
            store.append(replace(record, samples=seconds))
        return "earlier"

    return run


def chosen(batches: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """With a framework whose settings are the same each time: others are refused."""
    wanted = ("-k", "throughput and closed", "--bench-no-parity", "--bench-profile", "tiny-twice")
    return benchmark(batches, *wanted, *arguments, frameworks="fake-certified")


@pytest.mark.slow
def test_a_run_that_is_slower_fails_and_says_what(
    batches: str, earlier: Callable[[float], str]
) -> None:
    run = earlier(1e-4)  # on a busy machine two processes differ by up to a factor of two
    written = ("--bench-summary", "summary.md", "--junitxml", "junit.xml")
    done = chosen(batches, "--bench-compare", run, "--bench-fail-if", "slower:50%", *written)
    assert done.returncode == 1, done.stdout
    assert " compared with earlier\n" in Path("summary.md").read_text()
    assert "gate failed" in Path("summary.md").read_text()
    assert '<property name="images_per_second" value="' in Path("junit.xml").read_text()
    assert "= compared with earlier =" in done.stdout
    assert "FAILED tiny/fake-certified/closed/" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("report.html")


@pytest.mark.slow
def test_a_run_that_is_faster_passes(batches: str, earlier: Callable[[float], str]) -> None:
    run = earlier(1e4)
    done = chosen(batches, "--bench-compare", run, "--bench-fail-if", "slower:50%")
    assert done.returncode == 0, done.stdout
    assert "faster" in done.stdout.partition("= compared with earlier =")[2]
