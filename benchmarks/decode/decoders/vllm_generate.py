"""vLLM's offline engine, where it is installed. Its weights are random ones of its own, in the same shape."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.decode.decoders.transformers_generate import their_config
from benchmarks.decode.job import SAMPLING, DecodeEngine, DecodeJob, Generate, Tokens
from sampling.model import Llama

SHARE_OF_MEMORY = 0.4  # of the device: other engines of the same run hold theirs


def engine_for(model: Llama, job: DecodeJob) -> Any:
    """An engine that keeps no prefix of one call for the next."""
    import vllm  # pyright: ignore[reportMissingImports]

    folder = Path(tempfile.mkdtemp())
    config = their_config(model.config)
    config.architectures = ["LlamaForCausalLM"]
    config.save_pretrained(folder)
    return vllm.LLM(
        str(folder),
        load_format="dummy",
        skip_tokenizer_init=True,
        dtype=job.dtype,
        max_model_len=job.capacity,
        max_num_seqs=job.rows,
        enable_prefix_caching=False,
        gpu_memory_utilization=SHARE_OF_MEMORY,
    )


def build(model: Llama, job: DecodeJob) -> Generate:
    """All prompts in one call of `generate`."""
    import vllm  # pyright: ignore[reportMissingImports]

    engine, params = engine_for(model, job), SAMPLING[job.sampling]
    prompts = [{"prompt_token_ids": ids} for ids in job.prompts(model.config.vocab_size).tolist()]
    chosen = {
        "temperature": params.temperature,
        "top_p": params.top_p,
        "frequency_penalty": params.frequency_penalty,
        "presence_penalty": params.presence_penalty,
    }

    def generate(count: int) -> Tokens:
        each = [
            vllm.SamplingParams(max_tokens=count, ignore_eos=True, seed=row, detokenize=False, **chosen)
            for row in range(job.rows)
        ]
        answers = engine.generate(prompts, each, use_tqdm=False)
        return [list(answer.outputs[0].token_ids) for answer in answers]

    return generate


ENGINE = DecodeEngine(
    build, "LLM.generate, dummy weights of the same shape", "log probabilities; our weights"
)
