"""`sampling` under torchrun: many processes run the same command, and one of them speaks."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path


def under_torchrun() -> bool:
    """Whether torchrun has started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


@contextmanager
def one_speaker() -> Generator[None]:
    """Under torchrun, let no process but that of rank 0 write; what any of them raises goes its way."""
    if not under_torchrun():
        yield
        return
    with ExitStack() as stack:
        stack.callback(leave)
        if os.environ["RANK"] != "0":
            nowhere = stack.enter_context(Path(os.devnull).open("w"))
            stack.enter_context(redirect_stdout(nowhere))
            stack.enter_context(redirect_stderr(nowhere))
        yield
        wait()


def wait() -> None:
    """Wait until all processes have come so far: one that leaves early takes its connections away from the others."""
    import torch.distributed as dist

    if dist.is_initialized():
        dist.barrier()


def leave() -> None:
    """End what the processes have in common."""
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()
