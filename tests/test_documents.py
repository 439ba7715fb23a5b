"""Links and paths in Markdown files lead somewhere."""

import re
from pathlib import Path

import pytest

from bench.core.kinds import KINDS
from bench.harness.matrix import jobs
from bench.harness.profiles import PROFILES
from bench.harness.selection import Selection

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "results" / "README.md"])
FOLDERS = ("bench", "models_torch", "models_keras", "tests", "docs", "results")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]*\w/?)`")


def prose(page: Path) -> str:
    """The text without code blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def test_there_are_pages():
    assert len(PAGES) > 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    broken = []
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_exist(page):
    """Outside of the changelog and the log, which name files as they were."""
    if page.name == "CHANGELOG.md" or page.parent.name == "log":
        return
    found = set(PATH.findall(prose(page)))
    assert sorted(path for path in found if not (ROOT / path).exists()) == []


def test_every_page_of_docs_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert sorted(pages - set(LINK.findall(index)) - {"README.md"}) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_modules_that_are_named_without_a_folder_exist(page):
    if page.name == "CHANGELOG.md" or page.parent.name == "log":
        return
    named = set(re.findall(r"`(\w+\.py)`", prose(page)))
    there = {path.name for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    assert named - there - {"random.py", "profile.py", "bench.py"} == set()


def test_the_tests_of_the_inputs_exist():
    """docs/inputs.md names a test for each case; a name in brackets is one of a test's cases."""
    text = (ROOT / "docs" / "inputs.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    rows = [row for row in rows if not row.endswith("| test |")]
    assert len(rows) > 60
    named = re.compile(r"`([\w/]+\.py)::(test_\w+)(?:\[([^`]+)\])?`")
    without = [row for row in rows if not named.search(row.rpartition(" | ")[2])]
    assert [row.split("|")[4].strip() for row in without] == ["—"] * len(without)
    assert len(without) <= 2
    missing = []
    for file, test, case in named.findall(text):
        path = ROOT / "tests" / file
        code = path.read_text(encoding="utf-8") if path.exists() else ""
        if f"def {test}(" not in code or (case and f'"{case}"' not in code):
            missing.append(f"{file}::{test}[{case}]")
    assert missing == []


@pytest.mark.parametrize("name", ["quick", "full"])
def test_the_limits_in_the_text_are_those_of_the_profile(name):
    limits, run_seconds = PROFILES[name].limits, PROFILES[name].run_seconds
    assert limits.precision
    seconds = f"{limits.group_seconds:,.0f} s"
    if run_seconds:
        seconds = f"what the other stages leave of {run_seconds:.0f} s for the run"
    row = (
        f"| `{name}` | {limits.processes} | ± {100 * limits.precision:.0f} % "
        f"| {seconds} | {limits.blocks} |"
    )
    assert row in (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")


def test_the_networks_and_tracks_of_quick_are_as_the_text_has_them():
    """docs/profiles.md and docs/statistics.md."""
    timed = tuple(name for name, row in KINDS.items() if row.throughput)
    both = ("pytorch", "keras-tensorflow")
    found = jobs(Selection(frameworks=both, kinds=timed), PROFILES["quick"])
    tracks = {}
    for job in found:
        tracks.setdefault(job.case.track, set()).add(job.case.variant)
    assert tracks == {
        "closed": {"cifar-bn", "cifar-lrn", "cifar-plain"},
        "idiomatic": {"cifar-bn"},
    }
