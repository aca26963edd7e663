"""Our own decode loop as an engine."""

from __future__ import annotations

from benchmarks.decode.job import DecodeEngine, DecodeJob, Generate, Tokens
from sampling.dialects import dialect
from sampling.generate.decode import Decoder
from sampling.generate.sampled_token import SampledToken
from sampling.model import Llama


def decoder_for(model: Llama, job: DecodeJob, *, compiled: bool) -> Decoder:
    """An empty decoder of the job's size."""
    return Decoder(
        model,
        rows=job.rows,
        capacity=job.capacity,
        tokenizer_vocab_size=model.config.vocab_size,
        dialect=dialect("qstash"),
        compile=compiled,
    )


def tokens_of_step(decoder: Decoder) -> dict[int, int]:
    """One step: the token of each row."""
    tokens: dict[int, int] = {}
    for row, sampled in decoder.step().items():
        if not isinstance(sampled, SampledToken):
            raise sampled
        tokens[row] = sampled.token_id
    return tokens


def build(model: Llama, job: DecodeJob, *, compiled: bool) -> Generate:
    """Prompts join an empty decoder, decode together and leave."""
    decoder = decoder_for(model, job, compiled=compiled)
    prompts = job.prompts(model.config.vocab_size).tolist()

    def generate(count: int) -> Tokens:
        pairs = zip(prompts, job.each_row(), strict=True)
        rows = [decoder.add(prompt, params, max_tokens=count)[0] for prompt, params in pairs]
        steps = [tokens_of_step(decoder) for _ in range(count)]
        decoder.remove(rows)
        return [[step[row] for step in steps] for row in rows]

    return generate


EAGER = DecodeEngine(
    lambda model, job: build(model, job, compiled=False),
    "Decoder.add and Decoder.step: log probabilities, rank and finish of every token on the host",
    "nothing",
)
COMPILED = DecodeEngine(
    lambda model, job: build(model, job, compiled=True), "the same with compile=True", "nothing"
)
