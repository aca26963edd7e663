"""Ctrl+C while the command's modules are imported ends it in one line; a program that imports the package is left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import sampling
from sampling.core.interruption import at_once

# In place of torch: what interrupts its own import, and what loses that, as imports of extension modules do.
INTERRUPTED = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n"
LOSING = """
import os, signal, time
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)
except BaseException:
    pass
"""
SCRIPT = "import sys\nfrom sampling.cli.main import main\nsys.exit(main())\n"


def run(folder: Path, torch: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python on something that imports the package, with another torch."""
    (folder / "torch.py").write_text(torch)
    (folder / "sampling").mkdir()
    (folder / "sampling" / "sampling").write_text(SCRIPT)
    root = Path(sampling.__file__).parents[1]
    paths = os.pathsep.join(map(str, (folder, root, root / "kernels")))
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        cwd=folder / "sampling",
        timeout=55,
    )


@pytest.mark.parametrize("torch", [INTERRUPTED, LOSING], ids=["raised", "lost"])
@pytest.mark.parametrize("command", [("-m", "sampling"), ("sampling",)], ids=["module", "script"])
def test_the_command_ends_at_once(tmp_path: Path, command: tuple[str, ...], torch: str):
    done = run(tmp_path, torch, *command, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "\n")


def test_a_program_has_its_exception(tmp_path: Path):
    done = run(tmp_path, INTERRUPTED, "-c", "import sampling")
    assert done.returncode == -signal.SIGINT
    assert done.stderr.endswith("KeyboardInterrupt\n")


def test_what_is_imported_later_is_left_at_once_too_and_nothing_else():
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with at_once():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
