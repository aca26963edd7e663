"""Engines that prefill and decode, ours and others', each in a file of its own."""

from __future__ import annotations

from benchmarks.decode.decoders import gpt_fast, llama_cpp_loop, ours, transformers_generate, vllm_generate

ENGINES = {
    "eager": ours.EAGER,
    "compiled": ours.COMPILED,
    "transformers": transformers_generate.DYNAMIC,
    "transformers static": transformers_generate.STATIC,
    "transformers compiled": transformers_generate.COMPILED,
    "llama.cpp": llama_cpp_loop.SAME_TYPE,
    "llama.cpp float16": llama_cpp_loop.FLOAT16,
    "gpt-fast": gpt_fast.ENGINE,
    "vLLM": vllm_generate.ENGINE,
}
OURS = ("eager", "compiled")
