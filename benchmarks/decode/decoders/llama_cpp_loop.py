"""llama.cpp through llama-cpp-python's C interface, with the same weights out of a GGUF file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch

from benchmarks.decode.job import SAMPLING, DecodeEngine, DecodeJob, Generate, Tokens
from benchmarks.harness.outcome import NotAvailable
from sampling.model import Llama

CHUNK = 512  # tokens of a prompt that go through the model together
EVERY_LAYER = 999
FOLDERS: WeakKeyDictionary[Llama, tempfile.TemporaryDirectory[str]] = WeakKeyDictionary()  # of GGUF files


class Loop:
    """A context with B sequences.

    Args:
        cpp: The module llama_cpp.
        path: The GGUF file.
        job: What to decode.
        vocabulary: V.
    """

    def __init__(self, cpp: Any, path: Path, job: DecodeJob, vocabulary: int) -> None:
        self.cpp, self.rows = cpp, job.rows
        self._quiet = cpp.llama_log_callback(lambda _level, _text, _data: None)
        cpp.llama_log_set(self._quiet, None)
        self.model = cpp.llama_model_load_from_file(str(path).encode(), self._model_params(job))
        self.context = cpp.llama_init_from_model(self.model, self._context_params(job))
        self.memory = cpp.llama_get_memory(self.context)
        self.batch = cpp.llama_batch_init(max(CHUNK, job.rows), 0, 1)
        self.chains = [sampler_chain(cpp, job, vocabulary, seed) for seed in range(job.rows)]

    def __del__(self) -> None:
        """Free what the C side holds."""
        for chain in self.chains:
            self.cpp.llama_sampler_free(chain)
        self.cpp.llama_batch_free(self.batch)
        self.cpp.llama_free(self.context)
        self.cpp.llama_model_free(self.model)

    def _model_params(self, job: DecodeJob) -> Any:
        params = self.cpp.llama_model_default_params()
        params.n_gpu_layers = EVERY_LAYER if job.device == "cuda" else 0
        return params

    def _context_params(self, job: DecodeJob) -> Any:
        params = self.cpp.llama_context_default_params()
        params.n_ctx, params.n_seq_max = job.rows * job.capacity, job.rows
        params.n_batch = params.n_ubatch = max(CHUNK, job.rows)
        params.n_threads = params.n_threads_batch = torch.get_num_threads()
        return params

    def clear(self) -> None:
        """Forget all sequences."""
        self.cpp.llama_memory_clear(self.memory, True)
        for chain in self.chains:
            self.cpp.llama_sampler_reset(chain)

    def feed(self, tokens: Sequence[tuple[int, int, int]], wanted: range) -> None:
        """Run (row, position, token) through the model, and keep the logits of some of them."""
        self.batch.n_tokens = len(tokens)
        for place, (row, position, token) in enumerate(tokens):
            self.batch.token[place], self.batch.pos[place] = token, position
            self.batch.n_seq_id[place], self.batch.seq_id[place][0] = 1, row
            self.batch.logits[place] = place in wanted
        if self.cpp.llama_decode(self.context, self.batch):
            raise RuntimeError("llama_decode failed")

    def prefill(self, row: int, prompt: Sequence[int]) -> int:
        """Run a prompt, in chunks, and sample the row's first token."""
        placed = [(row, position, token) for position, token in enumerate(prompt)]
        for start in range(0, len(placed), CHUNK):
            chunk = placed[start : start + CHUNK]
            self.feed(chunk, range(len(chunk) - 1, len(chunk)))
        return self.sample(row, -1)

    def sample(self, row: int, place: int) -> int:
        """Draw from the logits at a place of the batch."""
        return self.cpp.llama_sampler_sample(self.chains[row], self.context, place)

    def step(self, position: int, tokens: Sequence[int]) -> list[int]:
        """Feed each row its token, and sample the next ones."""
        rows = range(self.rows)
        self.feed([(row, position, tokens[row]) for row in rows], rows)
        return [self.sample(row, row) for row in rows]


def sampler_chain(cpp: Any, job: DecodeJob, vocabulary: int, seed: int) -> Any:
    """Penalties, temperature, top_p and the draw; or the largest logit."""
    params = SAMPLING[job.sampling]
    samplers = [cpp.llama_sampler_init_greedy()]
    if params.temperature > 0:
        penalties = (params.repetition_penalty, params.frequency_penalty, params.presence_penalty)
        samplers = [
            cpp.llama_sampler_init_penalties(vocabulary, job.capacity, *penalties),
            cpp.llama_sampler_init_temp(params.temperature),
            cpp.llama_sampler_init_top_p(params.top_p, 1),
            cpp.llama_sampler_init_dist(seed),
        ]
    chain = cpp.llama_sampler_chain_init(cpp.llama_sampler_chain_default_params())
    for sampler in samplers:
        cpp.llama_sampler_chain_add(chain, sampler)
    return chain


def gguf_of(model: Llama, dtype: str) -> Path:
    """The model's GGUF file of a type, written once and removed with the model."""
    from benchmarks.harness.gguf_file import write_gguf

    folder = FOLDERS.setdefault(model, tempfile.TemporaryDirectory())
    path = Path(folder.name) / f"{dtype}.gguf"
    if not path.exists():
        write_gguf(model, path, dtype)
    return path


def build(model: Llama, job: DecodeJob, dtype: str | None = None) -> Generate:
    """A prompt of each row after the other, then all rows together."""
    import llama_cpp as cpp

    if dtype is not None and job.dtype == "float32":
        raise NotAvailable("it stands beside bfloat16, which is as large")
    loop = Loop(cpp, gguf_of(model, dtype or job.dtype), job, model.config.vocab_size)
    prompts = job.prompts(model.config.vocab_size).tolist()

    def generate(count: int) -> Tokens:
        loop.clear()
        steps = [[loop.prefill(row, prompt) for row, prompt in enumerate(prompts)]]
        for position in range(job.context, job.context + count - 1):
            steps.append(loop.step(position, steps[-1]))
        return [list(row) for row in zip(*steps, strict=True)]

    return generate


DOES = "llama_decode and a llama_sampler chain (penalties, temp, top_p, dist, or greedy) called from Python"
LEAVES_OUT = "log probabilities; keys and values are float16, as is its default"
SAME_TYPE = DecodeEngine(build, DOES, LEAVES_OUT)
FLOAT16 = DecodeEngine(partial(build, dtype="float16"), f"{DOES}; weights rounded to float16", LEAVES_OUT)
