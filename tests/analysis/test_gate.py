"""The gate: slower than an earlier run only where the whole interval says so."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from bench.analysis.gate import Gate, Rule
from bench.core.errors import UserError
from bench.core.records import Record, RecordStore
from tests.benchmarks.test_plugin import benchmark, the_run
from tests.support import fakes
from tests.support.synthetic import make_record


def timed(factor: float, noise: float = 0.01, processes: int = 2, **changes: object) -> Record:
    """Ten blocks around ``factor`` seconds."""
    samples = tuple(factor * (1 + noise * ((7 * i) % 10 - 4.5) / 4.5) for i in range(10))
    record = replace(make_record(**changes), samples=samples)  # type: ignore[arg-type]
    blocks = [[process, turn, 1] for process in range(processes) for turn in range(10 // processes)]
    return replace(record, metrics={"interleaving": {"group": f"of {factor}", "blocks": blocks}})


def gate(rule: str | None = "slower:5%") -> Gate:
    return Gate([timed(1.0)], Rule.parse(rule) if rule else None)


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.04, 1.05])
def test_what_is_allowed_passes(factor: float) -> None:
    assert gate().violations([timed(factor)]) == []


def test_what_is_surely_slower_is_named_with_its_interval() -> None:
    (line,) = gate().violations([timed(1.2)])
    assert timed(1.2).case.id in line
    assert "0.833 times the speed [0.7" in line
    assert line.endswith("more than 5 % slower (whole 95 % interval)")


def test_one_process_fails_no_build_however_slow_it_was() -> None:
    alone = Gate([timed(1.0, processes=1)], Rule.parse("slower:5%"))
    assert alone.violations([timed(25.0, processes=1)]) == []
    assert "inconclusive" in alone.as_text([timed(25.0, processes=1)])


def test_noise_that_hides_a_slowdown_does_not_fail() -> None:
    assert gate().violations([timed(1.2, noise=0.4)]) == []
    assert gate("slower:25%").violations([timed(1.2)]) == []


def test_what_was_refused_or_not_measured_does_not_fail() -> None:
    other = timed(9.0, parity={"status": "fail"})
    assert gate().violations([other]) == []
    assert [row.verdict for row in gate().compare([other])] == ["refused"]
    assert gate().compare([]) == []


def test_without_a_rule_nothing_fails() -> None:
    assert gate(None).violations([timed(9.0)]) == []
    assert "0.111" in gate(None).as_text([timed(9.0)])


@pytest.mark.parametrize("text", ["", "5%", "slower", "slower:5", "slower:-5%", "faster:5%"])
def test_a_rule_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="must look like slower:5%"):
        Rule.parse(text)


def test_a_rule_without_a_run_is_refused() -> None:
    with pytest.raises(UserError, match="--bench-compare RUN"):
        Gate.of(None, "slower:5%")
    assert Gate.of(None, None) is None


# ---- through pytest


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    fakes.install(monkeypatch, tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    return str(fakes.write_batches(tmp_path / "data" / "small", fakes.images()))


def earlier(batches: str, factor: float) -> str:
    """A run whose samples took ``factor`` of the time that they did."""
    done = chosen(batches)
    assert done.returncode == 0, done.stdout
    source = the_run()
    store = RecordStore(Path("earlier"))
    for record in RecordStore(source).read():
        seconds = tuple(factor * sample for sample in record.samples)
        store.append(replace(record, samples=seconds))
    os.rename(source, "before")
    return "earlier"


def chosen(batches: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """With a framework whose settings are the same each time: others are refused."""
    wanted = ("-k", "throughput and closed", "--bench-no-parity", "--bench-profile", "tiny-twice")
    return benchmark(batches, *wanted, *arguments, frameworks="fake-certified")


@pytest.mark.slow
def test_a_run_that_is_slower_fails_and_says_what(batches: str) -> None:
    run = earlier(batches, 0.01)
    done = chosen(batches, "--bench-compare", run, "--bench-fail-if", "slower:50%")
    assert done.returncode == 1
    assert "= compared with earlier =" in done.stdout
    assert "FAILED tiny/fake-certified/closed/" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("report.html")


@pytest.mark.slow
def test_a_run_that_is_faster_passes(batches: str) -> None:
    run = earlier(batches, 100)
    done = chosen(batches, "--bench-compare", run, "--bench-fail-if", "slower:50%")
    assert done.returncode == 0, done.stdout
    assert "faster" in done.stdout.partition("= compared with earlier =")[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--bench-compare", "nowhere"), "nowhere"),
        (("--bench-fail-if", "slower:5%"), "--bench-compare RUN"),
    ],
)
def test_wrong_usage_is_reported_before_anything_is_measured(
    batches: str, arguments: tuple[str, ...], message: str
) -> None:
    done = chosen(batches, *arguments)
    assert done.returncode == 4
    assert message in done.stderr
    assert not Path("results").exists()
