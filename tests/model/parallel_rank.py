"""What one process of a parallel run does in `test_parallel.py`: torchrun starts it, and it saves what it saw."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from sampling import LanguageModel, SamplingParams, dialect, load
from sampling.cli.main import main as command
from sampling.cli.main import parser
from sampling.cli.replay import run_replay
from sampling.core.errors import CheckpointError, InvalidArgument, NotEnoughMemory
from sampling.generate.decode import Decoder
from sampling.model import Llama, load_llama
from sampling.model.parallel import parallel_llama

TEXT = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]
SHORTER = 5
STEPS = 8
QUESTION = [{"role": "user", "content": "What is the capital of Turkey?"}]
FLAGS = ["--temperature", "1.5", "--seed", "3"]
REQUESTS: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0, "logprobs": True, "top_logprobs": 3},
    "sampled": {"temperature": 1.7, "top_p": 0.95, "seed": 11, "max_tokens": 24, "n": 3},
    "penalties": {
        "temperature": 1,
        "frequency_penalty": 1.5,
        "logit_bias": {"5": 4},
        "seed": 5,
        "max_tokens": 24,
    },
    "json": {"temperature": 1.5, "seed": 2, "max_tokens": 24, "response_format": {"type": "json_object"}},
    "no seed": {"temperature": 2, "max_tokens": 24},
}


@torch.no_grad()
def seen(model: Llama) -> dict[str, Any]:
    """Logits of a text at once, logits of two rows that grow together, and what is held of the weights."""
    cache = model.new_cache(rows=2, capacity=len(TEXT) + STEPS)
    rows = torch.tensor([TEXT, TEXT])
    stepped: list[Tensor] = [model.next_logits(rows, cache, torch.tensor([len(TEXT), SHORTER]))]
    for _ in range(STEPS):
        stepped.append(model.next_logits(stepped[-1].argmax(-1, keepdim=True), cache))
    return {
        "whole": model(torch.tensor([TEXT]))[0],
        "stepped": torch.stack(stepped, dim=1),  # [2, 1 + STEPS, V]
        "weights": sum(model.held(parameter)[0].numel() for parameter in model.parameters()),
        "cache": sum(keys.numel() for keys in cache.stored_keys),
    }


def outgrown(toy: LanguageModel, full: bool) -> dict[str, Any]:
    """The greedy tokens of a row that gets longer than 512 positions, and what is said where memory ends.

    Args:
        toy: The built-in checkpoint, whose context is made longer.
        full: Whether the memory of this process is full in the end.
    """
    toy.model.config = replace(toy.model.config, max_position_embeddings=2048)
    running = Decoder(toy.model, rows=2, capacity=2048, tokenizer_vocab_size=2048, dialect=dialect("qstash"))
    running.add([7 * place % 97 for place in range(508)], SamplingParams(temperature=0))
    stepped = [running.step()[0].token_id for _ in range(8)]
    with pytest.MonkeyPatch.context() as patch:
        if full:
            patch.setattr("sampling.model.allocation.free_bytes", lambda _: 0)
        try:
            running.add([1] * 600, SamplingParams())
            refused = "nothing"
        except NotEnoughMemory as error:
            refused = str(error)
    return {"tokens": [*stepped, running.step()[0].token_id], "refused": refused}


def refusal(folder: Path) -> str:
    """What is said of a model that cannot be loaded in parts."""
    try:
        load_llama(folder, build=parallel_llama("cpu"))
    except (InvalidArgument, CheckpointError) as error:
        return f"{type(error).__name__}: {error}"
    return "loaded"


def replayed(trace: Path) -> tuple[int | str, str]:
    """How the replay of a trace ends in this process, and what it prints; its report goes beside the trace."""
    flags = ["replay", str(trace), "--logits", str(trace.with_name("logits.safetensors"))]
    with redirect_stdout(io.StringIO()) as printed:
        try:
            code = run_replay(parser().parse_args([*flags, "--json", str(trace.with_name("report.json"))]))
        except InvalidArgument as error:
            return str(error), ""
    return code, printed.getvalue()


def main(folder: Path) -> None:
    """Replay every trace in the folder, use every model, then the command line."""
    found: dict[str, Any] = {"models": {}, "refused": {}}
    found["replayed"] = {
        trace.parent.name: replayed(trace) for trace in sorted(folder.glob("trace-*/trace.jsonl"))
    }
    for model in sorted(folder.glob("good-*")):
        found["models"][model.name] = seen(load_llama(model, build=parallel_llama("cpu")))
    for model in sorted(folder.glob("bad-*")):
        found["refused"][model.name] = refusal(model)
    toy = load(None, parallel=True)
    found["logits"] = toy.logits(range(100))
    found["answers"] = {name: toy.chat(QUESTION, **request) for name, request in REQUESTS.items()}
    found["outgrown"] = outgrown(toy, full=dist.get_rank() == 1)
    torch.save(found, folder / f"rank-{dist.get_rank()}.pt")
    sys.exit(
        command(["chat", QUESTION[0]["content"], *FLAGS])
    )  # which ends what the processes have in common


if __name__ == "__main__":
    main(Path(sys.argv[1]))
