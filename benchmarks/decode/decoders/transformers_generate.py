"""transformers' `generate` on the same weights: shared where they lie, not copied."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from benchmarks.decode.job import SAMPLING, DecodeEngine, DecodeJob, Generate, Tokens
from sampling.model import Llama, LlamaConfig, tensor_name

REPETITION = 1.1


def their_config(config: LlamaConfig) -> Any:
    """The same shape in their words."""
    from transformers import LlamaConfig as TheirConfig

    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": config.rope_theta}
    if config.rope_scaling is not None:
        rope |= asdict(config.rope_scaling) | {"rope_type": "llama3"}
    same = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    same += (
        "num_key_value_heads",
        "head_dim",
        "rms_norm_eps",
        "max_position_embeddings",
        "tie_word_embeddings",
    )
    fields = {name: getattr(config, name) for name in same}
    return TheirConfig(rope_parameters=rope, bos_token_id=None, eos_token_id=None, **fields)


def their_model(model: Llama) -> Any:
    """A LlamaForCausalLM whose parameters are ours."""
    from transformers import LlamaForCausalLM
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    config = their_config(model.config)
    weights: dict[str, Tensor] = {
        tensor_name(name): parameter for name, parameter in model.named_parameters()
    }
    if model.config.tie_word_embeddings:
        weights["lm_head.weight"] = model.embed_tokens.weight
    with torch.device("meta"):
        # else assigning parameters would make ours require gradients, and a compiled step of ours be compiled again
        theirs = LlamaForCausalLM(config).requires_grad_(False)
    theirs.load_state_dict(weights, assign=True)
    theirs.model.rotary_emb = LlamaRotaryEmbedding(config).to(model.embed_tokens.weight.device)
    return theirs.eval()


def settings(job: DecodeJob) -> dict[str, Any]:
    """How to choose tokens, in the arguments of `generate`; nothing ends an answer early."""
    params = SAMPLING[job.sampling]
    if params.temperature == 0:
        return {"do_sample": False}
    return {
        "do_sample": True,
        "temperature": params.temperature,
        "top_p": params.top_p,
        "top_k": 0,
        "repetition_penalty": REPETITION,
    }


def build(model: Llama, job: DecodeJob, **cache: Any) -> Generate:
    """`generate` with some kind of cache."""
    from transformers import GenerationConfig

    theirs = their_model(model)
    prompts = job.prompts(model.config.vocab_size).to(job.device)
    inputs = {"inputs": prompts, "attention_mask": torch.ones_like(prompts)}

    def generate(count: int) -> Tokens:
        config = GenerationConfig(
            max_new_tokens=count, min_new_tokens=count, pad_token_id=0, **settings(job), **cache
        )
        return theirs.generate(**inputs, generation_config=config)[:, job.context :].tolist()

    return generate


def static(model: Llama, job: DecodeJob) -> Generate:
    """A static cache of the job's size, nothing compiled."""
    return build(model, job, cache_implementation="static", max_cache_len=job.capacity, disable_compile=True)


def compiled(model: Llama, job: DecodeJob) -> Generate:
    """A static cache, and its own compiled forward pass on every device."""
    from transformers import CompileConfig

    compile_config = CompileConfig()
    compile_config._compile_all_devices = True  # its switch for the CPU  # pyright: ignore
    return build(
        model,
        job,
        cache_implementation="static",
        max_cache_len=job.capacity,
        compile_config=compile_config,
    )


SAMPLING_OF_GENERATE = (
    f"frequency and presence penalties (it has none: repetition_penalty {REPETITION} stands in), "
    "seeds by row, log probabilities"
)
DYNAMIC = DecodeEngine(build, "generate with its dynamic cache, the default", SAMPLING_OF_GENERATE)
STATIC = DecodeEngine(static, "generate with a static cache", SAMPLING_OF_GENERATE)
COMPILED = DecodeEngine(
    compiled, "generate with a static cache and its compiled forward pass", SAMPLING_OF_GENERATE
)
