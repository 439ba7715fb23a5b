"""Standard streams that fail in the middle of a run: it goes on."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.core import outputs

SCRIPT = """
import os, sys
from bench.core import outputs
outputs.keep("stdout", "stderr")
first = open("first", "w")
for stream in (sys.stdout, sys.stderr):
    for _ in range(3):
        print("x" * 9999, file=stream, flush=True)
os.write(2, b"of a library")
print("to the end", file=first)
"""


@pytest.mark.parametrize("output", ["| true", "> /dev/full 2>&1", ">&- 2>&-"])
def test_a_program_outlasts_its_output(tmp_path: Path, output: str) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    root = Path(__file__).parents[2]
    command = f"exec 2>&1; PYTHONPATH={root} {sys.executable} script.py {output}; echo $? > code"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], cwd=tmp_path, check=False)
    assert done.returncode == 0
    assert (tmp_path / "code").read_text() == "0\n"
    assert (tmp_path / "first").read_text() == "to the end\n"


def test_streams_of_a_test_stay(capsys: pytest.CaptureFixture[str]) -> None:
    outputs.keep("stdout")
    print("captured")
    assert capsys.readouterr().out == "captured\n"
