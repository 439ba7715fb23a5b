"""Runs by the paths of a command line: folders, files, patterns with strangers in them."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import bench
from bench.analysis.comparison.mixed import with_mixed_seeds_noted
from bench.analysis.runs import Filter, read
from bench.core.errors import UserError
from bench.core.records import Record, RecordStore
from bench.core.run_paths import find, folder_of
from bench.report.html import merge
from tests.support.synthetic_records.synthetic import make_failure, make_record


def store(folder: Path, *records: Record) -> Path:
    for record in records or (make_record(),):
        RecordStore(folder).append(record)
    return folder


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two runs with a page about them, and a folder that holds no run itself."""
    folder = tmp_path / "results"
    store(folder / "a")
    store(folder / "b", make_record(), make_record(framework="keras-jax"))
    (folder / "README.md").write_text("# Runs\n")
    store(folder / "more" / "c")
    (folder / "a" / "attempts.jsonl").write_text("")
    return folder


def test_strangers_among_runs_are_passed_over_and_named(results: Path) -> None:
    lines: list[str] = []
    found = read(sorted(results.iterdir()), lines.append)
    assert [run.name for run in found] == ["a", "b"]
    assert [len(run.records) for run in found] == [1, 2]
    assert [Path(line.partition(":")[0]).name for line in lines] == ["README.md", "more"]


def test_a_pattern_is_what_the_shell_makes_of_it(results: Path) -> None:
    lines: list[str] = []
    assert [run.name for run in read([results / "*"], lines.append)] == ["a", "b"]
    assert len(lines) == 2
    with pytest.raises(UserError, match="nothing matches"):
        read([results / "no-*"])


def test_a_folder_of_runs_stands_for_all_of_them_where_it_is_alone(results: Path) -> None:
    assert [run.name for run in read([results])] == ["a", "b"]
    assert folder_of([results]) == results
    assert [run.name for run in read([results / "more", results / "a"], lambda _: None)] == ["a"]
    assert folder_of([results / "README.md", results / "b"]) == results / "b"


def test_a_file_of_records_is_a_run(results: Path) -> None:
    (run,) = read([results / "b" / "records.jsonl"])
    assert (run.name, run.folder, len(run.records)) == ("b", results / "b", 2)
    night = results / "night.jsonl"
    (results / "a" / "records.jsonl").rename(night)
    (run,) = read([night])
    assert (run.name, [record.run for record in run.records]) == ("night", ["night"])
    assert bench.load(night).run.tolist() == ["night"]
    assert find([night, results / "a" / "attempts.jsonl"], lambda _: None)[0].path == night


def test_two_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    runs = [
        store(tmp_path / day / "run", make_record(started_at=f"2025-01-{i:02}T00:00:00+00:00"))
        for i, day in enumerate(("monday", "tuesday"), start=1)
    ]
    assert [run.name for run in read(runs)] == ["monday/run", "tuesday/run"]


def test_a_run_that_is_given_twice_or_with_its_copy_counts_once(results: Path) -> None:
    copy = results / "copy-of-b"
    shutil.copytree(results / "b", copy)
    lines: list[str] = []
    paths = [results / "a", results / "b", copy, results / "more" / ".." / "a"]
    assert [run.name for run in read(paths, lines.append)] == ["a", "b"]
    assert lines == [
        f"{copy}/records.jsonl: a copy of {results}/b/records.jsonl; counted once",
        f"{results}/more/../a: given twice; counted once",
    ]
    with pytest.raises(UserError, match="2 runs are needed, and there is only b"):
        read([results / "b", copy], lambda _: None, least=2)
    RecordStore(copy).append(make_record(framework="keras-torch"))
    assert [run.name for run in read([results / "b", copy])] == ["b", "copy-of-b"]


@pytest.mark.parametrize("missing", ["nowhere", "results/nowhere"])
def test_a_path_that_does_not_exist_is_no_stranger(results: Path, missing: str) -> None:
    with pytest.raises(UserError, match=r"no records\.jsonl in .*nowhere"):
        read([results / "a", results.parent / missing])


def test_strangers_alone_are_an_error(results: Path) -> None:
    with pytest.raises(UserError, match=r"no records.jsonl in .*README\.md"):
        read([results / "README.md"])
    with pytest.raises(UserError, match="2 runs are needed, and there is only a"):
        read([results / "a", results / "README.md"], lambda _: None, least=2)


def test_a_damaged_run_is_not_passed_over(results: Path) -> None:
    (results / "a" / "records.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match=r"a/records\.jsonl:1"):
        read([results / "*"], lambda _: None)


def test_a_filter_takes_what_has_all_of_its_values(results: Path) -> None:
    runs = read([results])
    (a, b) = Filter({"framework": ("keras-jax",)}).of(runs)
    assert (len(a.records), len(b.records)) == (0, 1)
    with pytest.raises(UserError, match="framework theano: not in these runs; there are keras-jax"):
        Filter({"framework": ("theano",)}).of(runs)
    with pytest.raises(UserError, match="no record"):
        Filter({"framework": ("keras-jax",)}, cases=(runs[0].records[0].case.id,)).of(runs)
    assert Filter(kinds=("latency",)).takes(make_failure("latency"))
    assert not Filter(kinds=("latency",)).takes(make_failure("accuracy"))


def test_runs_of_one_name_have_their_folders_in_it_everywhere(tmp_path: Path) -> None:
    paths = [
        store(tmp_path / host / "results" / "night", make_record(seed=seed, kind="accuracy"))
        for seed, host in enumerate("ab")
    ]
    names = ["a/results/night", "b/results/night"]
    found = read(paths)
    assert [run.name for run in found] == names
    assert [run.records[0].run for run in found] == names
    merged = merge(paths)
    assert [record.run for record in merged.records] == names
    assert list(merged.begun) == names


def test_seeds_of_two_kinds_of_node_or_versions_are_noted() -> None:
    def measured(seed: int, **environment: object) -> Record:
        record = make_record(kind="accuracy", seed=seed, run="night")
        return replace(record, environment={**record.environment, **environment})

    alike = [measured(seed, node={"label": str(seed), "kind": "a"}) for seed in range(2)]
    assert with_mixed_seeds_noted(alike) == alike
    unlike = [alike[0], measured(1, node={"label": "1", "kind": "b"}, cpu="another")]
    noted = with_mixed_seeds_noted(unlike)
    assert all("seeds of 2 kinds of node under unlike" in r.caveats[0]["why"] for r in noted)
    versions = [
        replace(measured(seed, versions={"torch": version}), run=version)
        for seed, version in enumerate(("2.14", "2.15"))
    ]
    assert "versions.torch" in with_mixed_seeds_noted(versions)[0].caveats[0]["why"]
