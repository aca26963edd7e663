"""Loading a checkpoint with a progress bar."""

from __future__ import annotations

import argparse
import sys

from sampling.errors import InvalidRequest
from sampling.language_model import LanguageModel, load


def load_with_progress(options: argparse.Namespace) -> LanguageModel:
    """Load the model that the flags name; what takes long shows how far it is, on standard error."""
    from tqdm import tqdm

    hidden = not sys.stderr.isatty()
    with tqdm(desc="loading", unit="B", unit_scale=True, delay=0.5, leave=False, disable=hidden) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        try:
            return load(options.model, device=options.device, dtype=options.dtype, progress=show)
        except (RuntimeError, AssertionError) as error:
            # torch's own words for a device that it does not know or does not have
            reason = str(error).splitlines()[0]
            raise InvalidRequest("device", options.device, f"a device of this machine ({reason})") from None
