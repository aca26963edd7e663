from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sampling.core.errors import CacheFull, InvalidArgument
from sampling.model import Llama, Llama3Scaling, LlamaConfig, load_llama

CLOSE = 2e-5  # the largest difference of float32 logits from transformers'
LENGTHS = (5, 41, 1, 90)
JUNK = (-1, 10**9)  # what may stand at padding: nothing reads it

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


def texts(vocab_size: int, lengths: tuple[int, ...] = LENGTHS, seed: int = 3) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(vocab_size, (length,), generator=generator).tolist() for length in lengths]


def padded(rows: list[list[int]], junk: int = 0) -> tuple[Tensor, Tensor]:
    width = max(len(row) for row in rows)
    filled = [row + [junk] * (width - len(row)) for row in rows]
    return torch.tensor(filled), torch.tensor([len(row) for row in rows])


def distance(ours: Tensor, theirs: Tensor) -> float:
    assert ours.dtype == torch.float32
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max())


def small(**fields: object) -> Llama:
    sizes = {
        "vocab_size": 97,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 64,
    }
    torch.manual_seed(0)
    return Llama(LlamaConfig(**{**sizes, **fields})).requires_grad_(False)


def test_the_oracle_can_tell_a_wrong_model(oracle):
    # Logits spread over units, and depend on what came long before: 2e-5 is a real demand.
    text = texts(97)[3]
    told = oracle.logits(text)
    other = oracle.logits([(text[0] + 1) % 97, *text[1:]])
    assert told.std() > 0.5
    assert (told[-1] - other[-1]).abs().max() > 100 * CLOSE


def test_whole_text(oracle):
    model = load_llama(oracle.directory)
    for text in texts(97):
        assert distance(model(torch.tensor([text]))[0], oracle.logits(text)) <= CLOSE


def test_whole_text_into_a_cache(oracle):
    model = load_llama(oracle.directory)
    for text in texts(97):
        cache = model.new_cache(rows=1, capacity=len(text))
        assert distance(model(torch.tensor([text]), cache)[0], oracle.logits(text)) <= CLOSE
        assert cache.lengths.tolist() == [len(text)]


@pytest.mark.parametrize("piece", [1, 7])
def test_cached_pieces(oracle, piece):
    model = load_llama(oracle.directory)
    text = texts(97)[3]
    cache = model.new_cache(rows=1, capacity=100)
    parts = [model(part[None], cache)[0] for part in torch.tensor(text).split(piece)]
    assert distance(torch.cat(parts), oracle.logits(text)) <= CLOSE


@pytest.mark.parametrize("junk", JUNK)
@pytest.mark.parametrize("cached", [False, True])
def test_padded_batch(oracle, cached, junk):
    model = load_llama(oracle.directory)
    rows = texts(97)
    token_ids, counts = padded(rows, junk)
    cache = model.new_cache(rows=len(rows), capacity=90) if cached else None
    logits = model(token_ids, cache, counts)
    for row, text in enumerate(rows):
        assert distance(logits[row, : len(text)], oracle.logits(text)) <= CLOSE


def test_padded_batch_decodes_on(oracle):
    model = load_llama(oracle.directory)
    rows = texts(97)
    later = texts(97, (10,) * len(rows), seed=4)
    cache = model.new_cache(rows=len(rows), capacity=100)
    token_ids, counts = padded(rows)
    logits = [model.next_logits(token_ids, cache, counts)]
    logits += [model.next_logits(step[:, None], cache) for step in torch.tensor(later).T]
    for row, (text, more) in enumerate(zip(rows, later, strict=True)):
        ours = torch.stack([step[row] for step in logits])
        assert distance(ours, oracle.logits(text + more)[len(text) - 1 :]) <= CLOSE


def test_one_row_continues_while_another_prefills_and_a_third_waits(oracle):
    model = load_llama(oracle.directory)
    first, second, third = texts(97, (30, 20, 12), seed=5)
    cache = model.new_cache(rows=3, capacity=40)
    model(*padded_call([first[:29], [], third], cache))
    logits = model(*padded_call([first[29:], second, []], cache))
    assert distance(logits[0, 0], oracle.logits(first)[-1]) <= CLOSE
    assert distance(logits[1], oracle.logits(second)) <= CLOSE
    assert cache.lengths.tolist() == [30, 20, 12]
    logits = model(*padded_call([[5], [6], [7]], cache))
    for row, text in enumerate([[*first, 5], [*second, 6], [*third, 7]]):
        assert distance(logits[row, 0], oracle.logits(text)[-1]) <= CLOSE


def padded_call(rows, cache):
    token_ids, counts = padded(rows, junk=-100)
    return token_ids, cache, counts


def test_a_row_in_a_padded_batch_equals_the_row_alone(oracle):
    model = load_llama(oracle.directory)
    rows = texts(97)
    token_ids, counts = padded(rows)
    together = model(token_ids, model.new_cache(len(rows), 90), counts)
    for row, text in enumerate(rows):
        alone = model(torch.tensor([text]), model.new_cache(1, 90))[0]
        assert distance(together[row, : len(text)], alone) <= 1e-5


def test_greedy_generations_are_identical(oracle):
    model = load_llama(oracle.directory)
    rows = texts(97)
    cache = model.new_cache(rows=len(rows), capacity=90 + 64)
    token_ids, counts = padded(rows)
    logits = [model.next_logits(token_ids, cache, counts)]
    for _ in range(63):
        logits.append(model.next_logits(logits[-1].argmax(-1, keepdim=True), cache))
    ours = torch.stack([step.argmax(-1) for step in logits], dim=1).tolist()
    assert ours == [oracle.greedy(text, 64) for text in rows]


def test_bfloat16(oracle):
    # bfloat16 keeps 8 bits. The two programs round in different places, so they are held to a share of the
    # spread of the float32 logits: 15% for the worst logit, 2.5% in the mean square; and ours may not be further
    # from the float32 logits than theirs by more than a quarter.
    from transformers import LlamaForCausalLM

    text = texts(97)[3]
    exact = oracle.logits(text)
    theirs = LlamaForCausalLM.from_pretrained(oracle.directory, dtype=torch.bfloat16)
    told = type(oracle)(theirs, oracle.directory).logits(text)
    model = load_llama(oracle.directory, dtype=torch.bfloat16)
    for ours in (model(torch.tensor([text]))[0], model(torch.tensor([text]), model.new_cache(1, 90))[0]):
        assert distance(ours, told) <= 0.15 * exact.std()
        assert root_mean_square(ours - told) <= 0.025 * exact.std()
        assert root_mean_square(ours - exact) <= 1.25 * root_mean_square(told - exact)


def root_mean_square(numbers: Tensor) -> Tensor:
    return numbers.square().mean().sqrt()


def test_llama3_frequencies():
    # The released Llama-3.1 numbers, pair by pair, against transformers; and the two ends by hand.
    from transformers import LlamaConfig as TheirConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    numbers = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    rope = {"rope_type": "llama3", "rope_theta": 5e5, "original_max_position_embeddings": 8192, **numbers}
    theirs, _ = ROPE_INIT_FUNCTIONS["llama3"](TheirConfig(head_dim=128, rope_parameters=rope), "cpu")
    scaling = Llama3Scaling(original_max_position_embeddings=8192, **numbers)
    ours = small(head_dim=128, rope_theta=5e5, rope_scaling=scaling).rotary.frequencies
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0.0)
    assert ours[0] == 1.0
    assert float(ours[-1]) == pytest.approx(5e5 ** (-126 / 128) / 8, rel=1e-6)


def test_a_cast_leaves_the_rotary_frequencies_exact():
    model = small()
    frequencies = model.rotary.frequencies.clone()
    model.to(torch.bfloat16)
    assert model.norm.weight.dtype == torch.bfloat16
    assert model.rotary.frequencies.dtype == torch.float32
    assert torch.equal(model.rotary.frequencies, frequencies)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_next_logits_are_those_of_the_last_real_position(cached, dtype):
    model = small().to(dtype)
    token_ids, counts = padded(texts(97, (3, 9, 1)))
    everywhere = model(token_ids, model.new_cache(3, 9) if cached else None, counts)
    last = model.next_logits(token_ids, model.new_cache(3, 9) if cached else None, counts)
    tolerance = 1e-5 if dtype == torch.float32 else 0.02
    assert distance(last, everywhere[torch.arange(3), counts - 1]) <= tolerance
    assert distance(model.next_logits(token_ids), model(token_ids)[:, -1]) <= tolerance


def test_padding_past_the_capacity_is_written_nowhere():
    model = small()
    full, short = texts(97, (20, 13))
    cache = model.new_cache(rows=2, capacity=20)
    model(*padded_call([full[:19], short[:3]], cache))
    logits = model(*padded_call([full[19:], short[3:]], cache))  # row 0 has one slot, and nine of padding
    assert distance(logits[0, 0], model(torch.tensor([full]))[0, -1]) <= CLOSE
    assert distance(logits[1], model(torch.tensor([short]))[0, 3:]) <= CLOSE
    before = cache.keys(0)[0].clone()
    logits = model(*padded_call([[], [8]], cache))  # a full row may wait
    assert torch.equal(cache.keys(0)[0], before)
    assert distance(logits[1, 0], model(torch.tensor([[*short, 8]]))[0, -1]) <= CLOSE


def test_a_row_that_outgrows_the_cache_is_refused_before_anything_changes():
    model = small()
    cache = model.new_cache(rows=2, capacity=8)
    model(*padded_call([[1, 2, 3], [1, 2, 3, 4, 5, 6, 7]], cache))
    with pytest.raises(CacheFull, match=r"row 1: 7 positions and 2 new ones .* capacity is 8"):
        model.next_logits(torch.tensor([[4, 5], [8, 9]]), cache)
    assert cache.lengths.tolist() == [3, 7]
    model.next_logits(torch.tensor([[4], [8]]), cache)
    with pytest.raises(CacheFull, match="row 1: 8 positions and 1 new ones"):
        model.next_logits(torch.tensor([[5], [9]]), cache)
    logits = model(*padded_call([[5], []], cache))
    assert distance(logits[0, 0], model(torch.tensor([[1, 2, 3, 4, 5]]))[0, -1]) <= CLOSE


def compiled(function):
    """The function as torch.compile traces it, and the list of its traces; a host read would break the trace."""
    traces = []

    def backend(graph, _):
        traces.append(graph)
        return graph.forward

    torch.compiler.reset()
    return torch.compile(function, backend=backend, fullgraph=True, dynamic=False), traces


def test_a_decode_step_is_one_trace_whatever_the_lengths():
    model = small()
    step, traces = compiled(model.next_logits)
    prompt = padded(texts(97, (3, 9)))
    cache, twin = model.new_cache(2, 32), model.new_cache(2, 32)
    model(prompt[0], cache, prompt[1])
    model(prompt[0], twin, prompt[1])
    for token in torch.tensor(texts(97, (20, 20), seed=6)).T:
        assert torch.equal(step(token[:, None], cache), model.next_logits(token[:, None], twin))
    assert torch.equal(cache.lengths, twin.lengths)
    assert len(traces) == 1


def test_a_row_that_outgrows_the_cache_unknown_to_the_host_has_nan_logits():
    model = small()
    step, _ = compiled(model.next_logits)
    cache = model.new_cache(rows=2, capacity=8)
    model(*padded_call([[1, 2, 3], [1, 2, 3, 4, 5, 6, 7]], cache))
    text = [1, 2, 3]
    for token in (11, 12, 13, 14):
        text.append(token)
        logits = step(torch.tensor([[token], [token]]), cache)
        assert distance(logits[0], model(torch.tensor([text]))[0, -1]) <= CLOSE
        assert bool(logits[1].isnan().all()) == (token != 11)


def test_gradients_reach_every_weight():
    model = small().requires_grad_(True)
    model(torch.tensor([[1, 2, 3, 4]])).logsumexp(-1).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


ONE = torch.ones(2, 3, dtype=torch.int64)


@pytest.mark.parametrize(
    ("token_ids", "counts", "message"),
    [
        (ONE[0], None, r"token_ids: got '\[3\] int64', must be \[B, T\] int64 with T from 1 to 64"),
        (ONE.int(), None, r"token_ids: got '\[2, 3\] int32'"),
        (ONE[:, :0], None, r"token_ids: got '\[2, 0\] int64'"),
        (ONE.repeat(1, 22), None, r"token_ids: got '\[2, 66\] int64'.* T from 1 to 64"),
        (ONE * 97, None, "token_ids: got 97, must be ids from 0 to 96"),
        (ONE * -1, None, "token_ids: got -1, must be ids from 0 to 96"),
        (ONE, torch.tensor([3]), r"counts: got '\[1\] int64', must be \[2\] int64"),
        (ONE, torch.tensor([3.0, 3.0]), r"counts: got '\[2\] float32'"),
        (ONE, torch.tensor([3, 4]), r"counts: got \[3, 4\], must be from 0 to 3"),
        (ONE, torch.tensor([-1, 3]), r"counts: got \[-1, 3\], must be from 0 to 3"),
    ],
)
def test_bad_input(token_ids, counts, message):
    with pytest.raises(InvalidArgument, match=message):
        small()(token_ids, None, counts)


def test_a_cache_of_other_rows_or_too_long_is_refused():
    model = small()
    with pytest.raises(InvalidArgument, match=r"token_ids: got '\[2, 3\] int64', must be of 5 rows"):
        model(ONE, model.new_cache(5, 8))
    with pytest.raises(InvalidArgument, match=r"token_ids: got '\[2, 3\] int64'.* T from 1 to 2"):
        model(ONE, model.new_cache(2, 2))
    with pytest.raises(InvalidArgument, match="capacity: got 65, must be from 1 to 64, the model's context"):
        model.new_cache(1, 65)
    with pytest.raises(InvalidArgument, match="rows: got 0, must be at least 1"):
        model.new_cache(0, 8)


@needs_cuda
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_cuda_equals_cpu(oracle, dtype):
    # 1e-4, and not 2e-5: matrix products on another device add in another order.
    host = load_llama(oracle.directory, dtype=dtype)
    model = load_llama(oracle.directory, dtype=dtype, device="cuda")
    token_ids, counts = padded(texts(97))
    there = model(token_ids.cuda(), model.new_cache(4, 90), counts.cuda()).cpu()
    here = host(token_ids, host.new_cache(4, 90), counts)
    for row, count in enumerate(counts.tolist()):
        exact = here[row, :count]
        assert distance(there[row, :count], exact) <= (1e-4 if dtype == torch.float32 else 0.15 * exact.std())


@needs_cuda
def test_a_cuda_decode_step_does_not_wait_for_the_device():
    model = small().to("cuda")
    cache = model.new_cache(2, 16)
    tokens, counts = torch.tensor([[1], [2]], device="cuda"), torch.tensor([1, 0], device="cuda")
    model.next_logits(tokens, cache, counts)
    torch.cuda.set_sync_debug_mode("error")
    try:
        model.next_logits(tokens, cache, counts)
        model.next_logits(tokens, cache)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert cache.lengths.tolist() == [3, 1]
