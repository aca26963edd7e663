"""From flags to a completion, with a progress bar while a checkpoint is read."""

from __future__ import annotations

import argparse
import sys
from typing import TextIO

from sampling.chat.completion import Completion
from sampling.chat.language_model import LanguageModel, load
from sampling.chat.prepared import prepare
from sampling.chat.request import ChatRequest
from sampling.cli.options import request_of
from sampling.cli.processes import under_torchrun
from sampling.dialects import dialect


def load_with_progress(options: argparse.Namespace, *, parallel: bool = True) -> LanguageModel:
    """Load the model that the flags name; what takes long shows how far it is, on standard error.

    Processes that torchrun has started share it, unless each is to have its own.
    """
    from tqdm import tqdm

    terminal: TextIO | None = sys.stderr  # None where it was closed
    hidden = terminal is None or not terminal.isatty()
    with tqdm(desc="loading", unit="B", unit_scale=True, delay=0.5, leave=False, disable=hidden) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)
            if done == total:
                bar.close()

        return load(
            options.model,
            device=options.device,
            dtype=options.dtype,
            compile=getattr(options, "compile", False),
            parallel=parallel and under_torchrun(),
            progress=show,
        )


def completion_of(options: argparse.Namespace) -> Completion:
    """Return the completion that the flags ask for; everything is checked before a model is loaded."""
    style = dialect(options.dialect)
    request = ChatRequest.parse(request_of(options), style)
    return Completion(prepare(load_with_progress(options), request, style))
