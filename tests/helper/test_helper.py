"""Helper processes: answers, bounds, and that nothing is left of a process that passed one."""

from __future__ import annotations

import os
import runpy
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sampling.core.errors import Overloaded
from sampling.helper import BoundExceeded, Helper
from sampling.text.grammar import TRIAL
from sampling.text.template import RENDERER

PATIENCE = 60.0  # seconds that nothing takes unless it hangs
SHORT = 0.3  # seconds: what does not end takes longer
PROGRAM = """
import os

def answer(question):
    match question:
        case "number":
            return os.getpid()
        case "loop":
            while True:
                pass
        case "power":
            return 9 ** 9 ** 9 > 0
        case "memory":
            return len(bytes(2**40))
        case "long":
            return "x" * 2000
        case "abort":
            os.abort()
        case "nice":
            return os.nice(0)
        case "print":
            print("x", flush=True)
        case "fault":
            raise LookupError("a fault")
    return question
"""


@pytest.fixture
def helper(tmp_path: Path) -> Iterator[Helper]:
    """A helper with small bounds."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    asked = Helper(program, memory=2**30, longest=1000)
    yield asked
    asked.close()


def gone(number: int) -> bool:
    """Whether there is no process of that number any more."""
    return not Path(f"/proc/{number}").exists()


@pytest.mark.parametrize("value", [None, 1, 2.5, "é\ud800 \U0001f642", [{"a": [True]}, {}], "print"])
def test_answers_are_json_values(helper: Helper, value: object) -> None:
    assert helper.ask(value, PATIENCE) == value


def test_processes_give_way_as_far_as_is_said(helper: Helper) -> None:
    polite = Helper(helper.program, memory=helper.memory, longest=helper.longest, nice=3)
    try:
        assert (helper.ask("nice", PATIENCE), polite.ask("nice", PATIENCE)) == (
            os.nice(0),
            min(os.nice(0) + 3, 19),
        )
    finally:
        polite.close()


@pytest.mark.parametrize("helper", [TRIAL, RENDERER], ids=lambda helper: helper.program.stem)
def test_who_imports_a_program_is_no_helper(helper: Helper) -> None:
    """As a test run does that looks for examples in every module."""
    before = os.nice(0)
    runpy.run_path(str(helper.program))
    assert os.nice(0) == before


def test_a_process_answers_again(helper: Helper) -> None:
    assert helper.ask("number", PATIENCE) == helper.ask("number", PATIENCE) != os.getpid()


def test_what_has_a_fault_of_its_own_says_so(helper: Helper) -> None:
    with pytest.raises(RuntimeError, match="a fault"):
        helper.ask("fault", PATIENCE)
    assert helper.ask(1, PATIENCE) == 1


@pytest.mark.parametrize(
    ("question", "seconds", "words"),
    [
        ("loop", SHORT, "within 0.3 seconds"),
        ("power", SHORT, "within 0.3 seconds"),  # one operation that lets no other thread in
        ("memory", PATIENCE, "with at most 1073741824 bytes of memory"),
        ("long", PATIENCE, "in at most 1000 bytes"),
        ("abort", PATIENCE, "with at most 1073741824 bytes of memory"),  # as libraries do that get none
    ],
)
def test_what_passes_a_bound_is_ended(helper: Helper, question: str, seconds: float, words: str) -> None:
    number = helper.ask("number", PATIENCE)
    with pytest.raises(BoundExceeded, match=words):
        helper.ask(question, seconds)
    assert gone(number)
    assert helper.ask("number", PATIENCE) != number


def test_a_process_that_was_ended_meanwhile_is_replaced(helper: Helper) -> None:
    number = helper.ask("number", PATIENCE)
    os.kill(number, signal.SIGKILL)
    os.waitid(os.P_PID, number, os.WEXITED | os.WNOWAIT)
    assert helper.ask("number", PATIENCE) != number


def test_an_interruption_leaves_no_process(helper: Helper) -> None:
    number = helper.ask("number", PATIENCE)
    here = threading.get_ident()
    timer = threading.Timer(SHORT, lambda: signal.pthread_kill(here, signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        helper.ask("loop", PATIENCE)
    timer.join()
    assert gone(number)


def test_threads_do_not_wait_for_each_other(helper: Helper) -> None:
    outcomes: list[str] = []

    def asking() -> None:
        with pytest.raises(BoundExceeded):
            helper.ask("loop", 5 * SHORT)
        outcomes.append("ended")

    slow = threading.Thread(target=asking)
    slow.start()
    outcomes.append(helper.ask("at once", PATIENCE))
    slow.join()
    assert sorted(outcomes) == ["at once", "ended"]


def test_there_are_few_processes_at_a_time(helper: Helper) -> None:
    numbers: list[int] = []
    threads = [
        threading.Thread(target=lambda: numbers.append(helper.ask("number", PATIENCE))) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(numbers) == 5
    assert len({*numbers}) <= 2


def in_a_fork(work: Callable[[], None]) -> int:
    """Do something in a copy of this process; its exit code."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_has_processes_of_its_own(helper: Helper) -> None:
    number = helper.ask("number", PATIENCE)

    def work() -> None:
        assert helper.ask("number", PATIENCE) != number
        helper.close()

    assert in_a_fork(work) == 0
    assert helper.ask("number", PATIENCE) == number


def test_a_question_does_not_wait_for_ever_for_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sampling.helper.process.TURN", 0.2)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    asked = Helper(program, memory=2**30, longest=1000, most=1)
    began = threading.Event()

    def take() -> None:
        with asked._turn():  # pyright: ignore[reportPrivateUsage]
            began.set()
            assert over.wait(PATIENCE)

    over, busy = threading.Event(), threading.Thread(target=take)
    busy.start()
    assert began.wait(PATIENCE)
    with pytest.raises(
        Overloaded, match=r"^1 processes of program.py were at work on others for 0.2 seconds"
    ):
        asked.ask(1, PATIENCE)
    over.set()
    busy.join()
    assert asked.ask(1, PATIENCE) == 1
    asked.close()
