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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("command", ["list", "list --json"])
def test_output_that_does_not_go_out_is_one_line_and_exit_code_1(command: str) -> None:
    """It was "Exception ignored in …" and exit code 120."""
    program = f"{sys.executable} -m bench {command} > /dev/full"
    done = subprocess.run(
        ["bash", "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "No space left on device" in done.stderr
