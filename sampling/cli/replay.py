"""`sampling replay`: what an engine must have sampled, token by token."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from tqdm import tqdm

from sampling.cli.flags import check_files, given, refuse, save
from sampling.cli.loading import load_with_progress
from sampling.cli.processes import under_torchrun
from sampling.conformance.render.replay import as_json, print_replay
from sampling.conformance.render.replay_html import replay_html
from sampling.conformance.trace.logits import OF_MODEL, LogitsOf, logits_of_file, logits_of_model
from sampling.conformance.trace.record import read_trace
from sampling.conformance.trace.replay import Replay, replay_trace
from sampling.conformance.trace.shard import Shard
from sampling.core.errors import InvalidArgument
from sampling.core.params import number
from sampling.dialects import get_dialect
from sampling.sampler.rules import Rule


def run_replay(options: argparse.Namespace) -> int:
    """Replay a trace; the exit code is 0 where a rule fits every token, 1 where one differs, 2 where none is shown to fit."""
    rules = rules_of(options.rule)
    chosen = None if options.dialect is None else get_dialect(options.dialect)
    error = number(
        "logit_error", given(options.logit_error, OF_MODEL if options.logits is None else 0.0), 0.0, 1e3
    )
    check_files(options, ("json", "html"), read=("trace",))
    records = read_trace(Path(options.trace))
    logits_of = source_of(options)
    shard = Shard.of_group() if under_torchrun() else Shard()
    bar = tqdm(records, desc="replaying", unit="record", delay=0.5, leave=False, disable=None)
    with bar:
        replay = replay_trace(bar, logits_of, rules, dialect=chosen, logit_error=error, shard=shard)
    if shard.rank == 0:
        report(replay, options)
    return replay.exit_code


def report(replay: Replay, options: argparse.Namespace) -> None:
    """Write the files that the flags name, and print what became of the trace."""
    from rich.console import Console

    told = json.dumps(as_json(replay), indent=1)
    if options.json not in (None, "-"):
        save("json", options.json, told + "\n")
    if options.html is not None:
        save("html", options.html, replay_html(replay))
    if options.json == "-":
        print(told)
    else:
        print_replay(replay, Console(highlight=False))


def rules_of(name: str) -> Sequence[Rule]:
    """Return the rules to try."""
    every: tuple[Rule, ...] = get_args(Rule)
    if name == "auto":
        return every
    if name not in every:
        raise InvalidArgument("rule", name, f"auto, or one of {', '.join(every)}")
    return [rule for rule in every if rule == name]


def source_of(options: argparse.Namespace) -> LogitsOf:
    """Return where the logits are from: a file, or a model."""
    if options.logits is None:
        options.device = given(options.device, "cpu")
        return logits_of_model(load_with_progress(options, parallel=False))
    refuse(options, "left out: the logits are in a file", "model", "device", "dtype")
    return logits_of_file(Path(options.logits))
