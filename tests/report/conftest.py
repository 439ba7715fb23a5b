"""A report that two files of tests read: its plots take longer than all of their other reports."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from bench.report.html import write_results
from tests.support.synthetic_records.synthetic import make_failure, make_run

ATTACK = "Traceback\nValueError: <script>alert('x')</script> <img src=x onerror=alert(1)>"
FRAMEWORKS = ("pytorch", "keras-tensorflow")
"""Two have every plot that four have, with half the panels."""


@pytest.fixture(scope="session")
def whole_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report on every kind and two frameworks in two tracks, and on a failure."""
    folder = tmp_path_factory.mktemp("run")
    Image.new("RGB", (8, 8)).save(folder / "contact_sheet.png")
    records = [record for record in make_run(seeds=1) if record.case.framework in FRAMEWORKS]
    write_results([*records, make_failure(seed=5, error=ATTACK)], folder)
    return folder
