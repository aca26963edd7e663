"""What others do for the same job, each in a file of its own."""

from __future__ import annotations

from benchmarks.sampler.peers import (
    flashinfer_top_p,
    llama3,
    llama_cpp_chain,
    multinomial,
    transformers_processors,
)

PEERS = {
    "transformers": transformers_processors.ENGINE,
    "llama3": llama3.ENGINE,
    "multinomial": multinomial.ENGINE,
    "llama.cpp": llama_cpp_chain.ENGINE,
    "flashinfer": flashinfer_top_p.ENGINE,
    "flashinfer plain": flashinfer_top_p.PLAIN,
}
