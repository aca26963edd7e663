"""The side that asks: starts helper processes, and ends those that pass their bounds."""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sampling.core.errors import Overloaded

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

LOOP = Path(__file__).with_name("loop.py")
START = 60.0  # seconds that a process may take to start
TURN = 30.0  # seconds that a question may wait for one


class BoundExceeded(Exception):
    """An answer would have taken more than is allowed; says which bound, in words such as "within 5 seconds"."""


class Helper:
    r"""Answers questions in processes of their own, each under a deadline and with bounded memory.

    A Python thread cannot be ended, a process can. Processes start when they are needed, in a fraction of a second, and are
    kept for the next question; one that passes a bound is ended. Many threads may ask at a time; they wait for their turn,
    not for ever.

    Args:
        program: A Python file with a function `answer`, from a JSON value to a JSON value. It must not import this package,
            which would take seconds.
        memory: Most bytes of a process's address space.
        longest: Most bytes of an answer.
        most: Most processes at a time.
        nice: By how much the processes give way to others, 0 to 19; see `os.nice`.

    Example:
        >>> import tempfile
        >>> program = Path(tempfile.mkdtemp()) / "program.py"
        >>> _ = program.write_text("def answer(question):\n    return sum(question)\n")
        >>> Helper(program, memory=2**30, longest=2**20).ask([1, 2], seconds=60)
        3
    """

    def __init__(self, program: Path, *, memory: int, longest: int, most: int = 2, nice: int = 0) -> None:
        self.program, self.memory, self.longest, self.most, self.nice = program, memory, longest, most, nice
        self._begin()
        atexit.register(self.close)
        os.register_at_fork(after_in_child=self._begin)  # the processes are the parent's

    def _begin(self) -> None:
        self._turns = threading.Semaphore(self.most)
        self._idle: list[Process] = []

    def ask(self, question: object, seconds: float) -> Any:
        """Have a question, a JSON value, answered in so many seconds, once it is its turn and a process has started.

        Raises:
            BoundExceeded: It took too long, too much memory, or the answer is too long.
            Overloaded: As many processes as may be were at work on other questions, and none came to its end in time.
        """
        with self._turn():
            process = self._ready()
            try:
                answer = process.ask(question, seconds)
            except BaseException:
                process.end()
                raise
            self._idle.append(process)
        return answer

    def close(self) -> None:
        """End the processes that wait for questions."""
        while self._idle:
            self._idle.pop().end()

    @contextmanager
    def _turn(self) -> Generator[None]:
        """Keep others waiting, once it is one's turn."""
        if not self._turns.acquire(timeout=TURN):
            busy = f"{self.most} processes of {self.program.name} were at work on others for {TURN:g} seconds"
            raise Overloaded(f"{busy}, and no more may be")
        try:
            yield
        finally:
            self._turns.release()

    def _ready(self) -> Process:
        """Take a process that waits for questions, or start one."""
        with suppress(IndexError):
            while True:
                process = self._idle.pop()
                if process.alive:
                    return process
                process.end()
        return Process(self)


class Process:
    """One helper process, with the program and the bounds of its helper."""

    def __init__(self, helper: Helper) -> None:
        self._helper = helper
        self._connection, theirs = Pipe()
        self._process = started(helper, theirs)
        theirs.close()
        try:
            if not self._connection.poll(START) or self._received() != "ready":
                raise RuntimeError(f"{helper.program.name}: its process did not start")
        except BaseException:
            self.end()
            raise

    @property
    def alive(self) -> bool:
        """Whether nobody has ended the process."""
        return self._process.poll() is None

    def ask(self, question: object, seconds: float) -> Any:
        """Have a question answered; after an exception the process has to be ended."""
        asked = json.dumps({"question": question, "seconds": seconds}).encode()
        try:
            self._connection.send_bytes(asked)
            reply = self._received() if self._connection.poll(seconds) else {"exceeded": "time"}
        except (EOFError, ConnectionError):
            reply = {"exceeded": "time" if self._process.wait() == -signal.SIGXCPU else "memory"}
        match reply:
            case {"answer": answer}:
                return answer
            case {"exceeded": "time"}:
                raise BoundExceeded(f"within {seconds:g} seconds")
            case {"exceeded": "length"}:
                raise BoundExceeded(f"in at most {self._helper.longest} bytes")
            case {"exceeded": "memory"}:  # where malloc fails, libraries end their process
                raise BoundExceeded(f"with at most {self._helper.memory} bytes of memory")
            case _:
                raise RuntimeError(f"{self._helper.program.name}: {reply}")

    def end(self) -> None:
        """End the process, whatever it does."""
        self._connection.close()
        self._process.kill()
        self._process.wait()

    def _received(self) -> Any:
        return json.loads(self._connection.recv_bytes())


def started(helper: Helper, theirs: Connection) -> subprocess.Popen[bytes]:
    """Start a process that answers on a connection."""
    bounds = {"memory": helper.memory, "longest": helper.longest, "nice": helper.nice, "path": sys.path}
    return subprocess.Popen(
        [sys.executable, "-P", LOOP, helper.program, str(theirs.fileno()), json.dumps(bounds)],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl+C is for the one who asks
    )
