"""`sampling probe`: write a checkpoint whose logits are known."""

from __future__ import annotations

import argparse
import sys

from sampling.conformance.probe.write import write_probe


def run_probe(options: argparse.Namespace) -> None:
    """Write it, and say what it holds."""
    probe = write_probe(
        options.folder,
        vocab=options.vocab,
        tokenizer=options.tokenizer,
        gguf=options.gguf,
        dtype=options.dtype,
    )
    words = f"{len(probe.states)} states, {probe.vocab} logits each, {len(probe.texts)} of them of tokens that texts can hold"
    print(f"{options.folder}: {words}", file=sys.stderr)
