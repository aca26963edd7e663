"""Ctrl+C while modules are imported: it ends the `sampling` command at once, in one line.

Imported before all else, torch above all: among its hundreds of modules an exception of ours would end as a page of traceback,
or be lost. A program that imports this package keeps its own ways.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

INTERRUPTED = 130  # 128 and the number of SIGINT


def is_command() -> bool:
    """Whether this process is the command: its script, or `python -m sampling`."""
    after = dict(zip(sys.orig_argv, sys.orig_argv[1:], strict=False))
    called = sys.argv[0] if sys.argv else ""
    return after.get("-m") == "sampling" if called == "-m" else Path(called).stem == "sampling"


def leave(*_: object) -> None:
    """End the process: nothing is open yet."""
    os.write(2, b"\n")
    os._exit(INTERRUPTED)


def leave_at_once() -> None:
    """Let Ctrl+C end the process, where it would otherwise raise KeyboardInterrupt."""
    ours = threading.current_thread() is threading.main_thread()
    if ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, leave)


def raise_again() -> None:
    """Let Ctrl+C raise KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def at_once() -> Generator[None]:
    """Let Ctrl+C end the process while something is imported."""
    leave_at_once()
    try:
        yield
    finally:
        raise_again()


if is_command():
    leave_at_once()
