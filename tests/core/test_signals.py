"""Signals in processes of their own: what is raised, what is said, and with which code they end."""

import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from bench.core import signals
from bench.core.signals import STOPPING, Stopped

START = """
import os, sys, time
from bench.core import signals
def ready():
    print("ready", flush=True)
def wait():
    while True:  # a signal between Python's last look and a sleep is seen after the sleep
        time.sleep(0.01)
"""
ENDING = (
    START
    + """
signals.install()
ready()
wait()
"""
)
RAISING = (
    START
    + """
try:
    with signals.raising():
        try:
            ready()
            wait()
        except signals.Stopped as error:
            signals.acknowledge()
            with signals.held("no report is written"):
                print("cleaning up", flush=True)
                time.sleep(float(sys.argv[1]))
            raise
except signals.Stopped as error:
    print(error, flush=True)
    sys.exit(error.exit_code)
"""
)
HELD = (
    START
    + """
try:
    with signals.raising():
        with signals.held():
            ready()
            while signals.received() is None:
                time.sleep(0.01)
            print("written", flush=True)
        print("not reached", flush=True)
except signals.Stopped as error:
    sys.exit(error.exit_code)
"""
)
LOST = (
    START
    + """
class Swallowing:
    def __del__(self):
        ready()
        wait()
try:
    with signals.raising():
        held = Swallowing()
        del held
        print("swallowed", flush=True)
        signals.check()
except signals.Stopped as error:
    sys.exit(error.exit_code)
"""
)
FORKED = (
    START
    + """
with signals.raising():
    child = os.fork()
    if child == 0:
        ready()
        wait()
    else:
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
)


def start(script: str, *arguments: str, ignored: tuple[int, ...] = ()) -> subprocess.Popen[str]:
    """The script, ready for signals."""

    def default() -> None:
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=default,
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("which", STOPPING)
def test_before_anything_is_begun_a_signal_ends_with_one_line(which: signal.Signals) -> None:
    process = start(ENDING)
    process.send_signal(which)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + which
    assert err == f"alexbench: stopped by {which.name}\n"


@pytest.mark.parametrize("which", STOPPING)
def test_the_first_signal_is_an_exception_in_the_main_thread(which: signal.Signals) -> None:
    process = start(RAISING, "0")
    process.send_signal(which)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + which
    assert out.splitlines() == [
        "cleaning up",
        f"stopped by {which.name}; what was finished is written",
    ]
    assert err == f"alexbench: {which.name}: stopping; a second signal ends at once\n"


@pytest.mark.parametrize("which", STOPPING)
def test_a_second_signal_ends_at_once_and_says_so(which: signal.Signals) -> None:
    process = start(RAISING, "60")
    process.send_signal(signal.SIGTERM)
    assert process.stdout
    assert process.stdout.readline() == "cleaning up\n"
    time.sleep(2 * signals._SAME_SECONDS)
    process.send_signal(which)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    again = f"alexbench: {which.name} again: ended at once; no report is written"
    assert err.splitlines()[1:] == [again]


def test_the_same_signal_within_a_moment_is_one() -> None:
    patient = RAISING.replace("\ntry:", "\nsignals._SAME_SECONDS = 60\ntry:", 1)
    process = start(patient, "0.5")
    for _ in range(2):  # as timeout sends it: to the process, then to its group
        process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert out.startswith("cleaning up\nstopped by SIGTERM")
    assert "again" not in err


def test_what_is_held_is_finished_first() -> None:
    process = start(HELD)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (143, "written\n")


def test_an_exception_that_was_lost_is_raised_again() -> None:
    process = start(LOST)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (143, "swallowed\n")
    assert err.count("\n") == 1, "no traceback of the callback"


@pytest.mark.parametrize("which", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_was_ignored_stays_ignored(which: signal.Signals) -> None:
    process = start(RAISING, "0", ignored=(which,))
    process.send_signal(which)
    time.sleep(0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert which.name not in err


def test_a_forked_child_ends_without_a_word() -> None:
    process = start(FORKED)
    assert process.stdout
    children = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=True
    )
    os.kill(int(children.stdout), signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert (out, err) == ("143\n", "")


def test_handlers_of_before_come_back() -> None:
    before = {number: signal.getsignal(number) for number in STOPPING}
    with signals.raising():
        assert signal.getsignal(signal.SIGTERM) is signals._handle
        with pytest.raises(Stopped, match="stopped by SIGTERM"):
            os.kill(os.getpid(), signal.SIGTERM)
        assert signals.received() == signal.SIGTERM
        assert signals.is_pending()
        signals.acknowledge()
        assert not signals.is_pending()
    assert {number: signal.getsignal(number) for number in STOPPING} == before


def test_output_of_a_terminal_that_is_gone_goes_nowhere() -> None:
    controller, terminal = os.openpty()
    script = RAISING.replace('print("cleaning up", flush=True)', 'print("x" * 99, flush=True)')
    script = script.replace("def ready():\n", "def ready():\n    open(sys.argv[2], 'w').close()\n")
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", script, "0", f"/dev/fd/{write}"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        pass_fds=(write,),
        preexec_fn=partial(signal.signal, signal.SIGHUP, signal.SIG_DFL),
    )
    os.close(terminal)
    os.close(write)
    said = b""
    while not said.endswith(b"ready\r\n"):  # it may come in two pieces
        said += os.read(controller, 100)
    os.close(controller)
    os.close(read)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=30) == 129


def test_output_whose_reader_is_gone_goes_nowhere() -> None:
    process = start(RAISING, "0")
    assert process.stdout
    process.stdout.close()  # what comes after the signal has no reader
    process.send_signal(signal.SIGHUP)
    assert process.stderr
    with process.stderr:
        assert process.stderr.read().count("\n") == 1
    assert process.wait(timeout=30) == 129


def test_imports_before_the_handlers_are_few() -> None:
    """Until they are installed a signal is a traceback."""
    script = "import bench.core.signals, sys; print(*sys.modules)"
    command = [sys.executable, "-S", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not {"dataclasses", "inspect", "threading", "pathlib"} & set(done.stdout.split())
