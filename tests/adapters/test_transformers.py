"""Pipelines and the exact draw in transformers' `generate`, over a small random Llama, against a loop over its logits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LogitsProcessor,
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    StoppingCriteria,
    TopKLogitsWarper,
)
from transformers.generation.streamers import BaseStreamer

from sampling import (
    AllowedTokens,
    FrequencyPenalty,
    History,
    InvalidArgument,
    LogitBias,
    MinP,
    MinTokens,
    PresencePenalty,
    RepetitionPenalty,
    Scope,
    Temperature,
    TopK,
    TopP,
    UnsampleableRow,
    chain,
    draw,
    logprobs,
)
from sampling.adapters import hosts
from sampling.adapters.transformers import ReferenceDraw, ReferenceDrawOutput, as_logits_processor, as_stage

V, PAD, END = 97, 0, 3


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=V,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        initializer_range=0.8,  # logits far enough apart that truncations have something to do
        bos_token_id=None,
        eos_token_id=END,
        pad_token_id=PAD,
    )
    return LlamaForCausalLM(config).eval()


PROMPTS = [[5, 6, 7, 8, 6], [9], [11, 12, 12]]


def padded(prompts: list[list[int]] = PROMPTS) -> dict[str, Tensor]:
    """Prompts as a tokenizer pads them, on the left."""
    width = max(map(len, prompts))
    ids = torch.tensor([[PAD] * (width - len(row)) + row for row in prompts])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts])
    return {"input_ids": ids, "attention_mask": mask}


def stages(rows: list[int] = [0, 1, 2]) -> Any:  # noqa: B006 (never written)
    """One number per row; penalties that count the prompt would notice padding."""

    def of(*numbers: Any) -> list[Any]:
        return [numbers[row] for row in rows]

    return chain(
        LogitBias(of({40: 2.0, END: 8.0}, {END: 10.0}, {PAD: 3.0, END: 8.0})),
        MinTokens(of(2, 0, 4), [[END]] * len(rows)),
        RepetitionPenalty(of(1.2, 1.0, 1.5), scope=Scope(prompt=True)),
        FrequencyPenalty(of(0.3, 0.6, 0.0)),
        PresencePenalty(of(0.0, 0.2, 0.4), scope=Scope(prompt=True, last=4)),
        Temperature(of(1.2, 0.9, 1.5)),
        TopP(of(0.95, 0.99, 0.9)),
    )


def own_loop(
    logits: tuple[Tensor, ...], row: int, prompt: list[int], pipeline: Any, **keys: Any
) -> tuple[list[int], list[float]]:
    """Sample one row alone from the logits that the host had: tokens up to an end token, and their log probabilities."""
    history, tokens, found = History.start([prompt]), [], []
    for step in logits:
        processed = pipeline(step[row : row + 1], history)
        token = draw(processed, history=history, **keys)
        found.append(logprobs(processed, token).logprobs.item())
        history.accept(token)
        tokens.append(token.item())
        if tokens[-1] == END:
            break
    return tokens, found


def generated(model: LlamaForCausalLM, inputs: dict[str, Tensor], exact: ReferenceDraw, **more: Any) -> Any:
    options = {"max_new_tokens": 14, "return_dict_in_generate": True, "output_logits": True} | more
    return model.generate(**inputs, custom_generate=exact, **options)


def check(out: Any, rows: list[tuple[list[int], Any, dict[str, int]]], width: int) -> None:
    """Compare each row with our own loop: tokens, padding behind the end, log probabilities."""
    for row, (prompt, pipeline, keys) in enumerate(rows):
        tokens, found = own_loop(out.logits, row, prompt, pipeline, **keys)
        said = out.sequences[row, width:].tolist()
        assert said == tokens + [PAD] * (len(said) - len(tokens))
        assert out.logprobs[row, : len(found)].tolist() == found
        assert out.logprobs[row, len(found) :].isnan().all()


def test_a_batch_with_left_padding(model):
    out = generated(model, padded(), ReferenceDraw(stages(), seed=[1, 2**63 + 5, -7]), output_scores=True)
    assert isinstance(out, ReferenceDrawOutput)
    check(out, [(PROMPTS[i], stages([i]), {"seed": (1, 2**63 + 5, -7)[i]}) for i in range(3)], 5)
    ends = [(row == END).nonzero()[0].item() for row in out.sequences[:, 5:] if (row == END).any()]
    assert len(ends) >= 2  # a row has ended before the others
    assert min(ends) < out.sequences.shape[1] - 6


TWO = {"num_return_sequences": 2, "do_sample": True, "top_k": 0}  # generate refuses several without do_sample


def test_several_choices_of_each_prompt(model):
    out = generated(model, padded(), ReferenceDraw(stages(), seed=[1, 2, 3]), **TWO)
    rows = [(PROMPTS[i], stages([i]), {"seed": i + 1, "choice": c}) for i in range(3) for c in range(2)]
    check(out, rows, 5)
    assert not torch.equal(out.sequences[0], out.sequences[1])


def test_one_number_and_one_seed_serve_all_rows_and_gumbel_is_a_rule(model):
    exact = ReferenceDraw(chain(Temperature(1.3), TopK(20)), seed=4, rule="gumbel")
    out = generated(model, padded(), exact)
    pipeline = chain(Temperature(1.3), TopK(20))
    check(out, [(prompt, pipeline, {"seed": 4, "rule": "gumbel"}) for prompt in PROMPTS], 5)


def test_without_a_dictionary_it_gives_the_same_tokens(model):
    exact = ReferenceDraw(stages(), seed=5)
    plain = model.generate(**padded(), custom_generate=exact, max_new_tokens=20)
    assert torch.equal(plain, generated(model, padded(), exact, max_new_tokens=20).sequences)


def test_a_batch_gives_each_prompt_what_it_gets_alone(model):
    together = generated(model, padded(), ReferenceDraw(stages(), seed=[1, 2, 3]), max_new_tokens=8)
    for row, prompt in enumerate(PROMPTS):
        alone = generated(
            model, padded([prompt]), ReferenceDraw(stages([row]), seed=row + 1), max_new_tokens=8
        )
        tokens = alone.sequences[0, len(prompt) :].tolist()
        assert together.sequences[row, 5 : 5 + len(tokens)].tolist() == tokens


def test_without_a_pipeline_the_hosts_own_parameters_are_drawn_from(model):
    own = {"do_sample": True, "temperature": 1.4, "top_k": 12, "repetition_penalty": 1.1}
    out = generated(model, padded(), ReferenceDraw(seed=8), output_scores=True, **own)
    host = RepetitionPenaltyLogitsProcessor(1.1, prompt_ignore_length=torch.tensor([0, 4, 2]))  # the padding
    ids = out.sequences[:, :5]
    for step, (logits, scores) in enumerate(zip(out.logits, out.scores, strict=True)):
        expected = TopKLogitsWarper(12)(ids, host(ids, logits.clone()) / 1.4)
        assert torch.equal(scores, expected)
        tokens = draw(scores, seed=8, position=step)
        going = ~(out.sequences[:, 5 : 5 + step] == END).any(-1)
        assert torch.equal(out.sequences[going, 5 + step], tokens[going])
        ids = out.sequences[:, : 6 + step]


def test_raw_log_probabilities_and_alternatives(model):
    exact = ReferenceDraw(stages(), seed=1, logprobs="raw", top_logprobs=3)
    out = generated(model, padded(), exact)
    for step, logits in enumerate(out.logits):
        going = ~(out.sequences[:, 5 : 5 + step] == END).any(-1)
        expected = logits.double().log_softmax(-1)
        tokens = out.sequences[going, 5 + step, None]
        assert torch.allclose(
            out.logprobs[going, step, None].double(), expected[going].gather(1, tokens), atol=1e-5
        )
        assert torch.equal(out.top_token_ids[going, step], expected[going].topk(3).indices)
        assert (out.ranks[going, step] >= 1).all()
        assert (out.ranks[~going, step] == 0).all()


class Collected(BaseStreamer):
    def __init__(self) -> None:
        self.parts: list[list[int]] = []
        self.ended = False

    def put(self, value: Tensor) -> None:
        self.parts.append(value.flatten().tolist())

    def end(self) -> None:
        self.ended = True


def test_a_streamer_gets_the_prompt_and_each_token(model):
    streamer = Collected()
    out = generated(model, padded([PROMPTS[0]]), ReferenceDraw(stages([0]), seed=1), streamer=streamer)
    assert streamer.ended
    assert streamer.parts[0] == PROMPTS[0]
    assert [token for part in streamer.parts for token in part] == out.sequences[0].tolist()
    assert [len(part) for part in streamer.parts[1:]] == [1] * (len(streamer.parts) - 1)


class AfterThree(StoppingCriteria):
    def __init__(self) -> None:
        self.scores: Any = None

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        self.scores = scores
        return torch.full((len(input_ids),), input_ids.shape[1] >= 5 + 3)


def test_stopping_criteria_end_it_and_see_what_was_drawn_from(model):
    ending = AfterThree()
    out = generated(
        model, padded(), ReferenceDraw(stages(), seed=1), stopping_criteria=[ending], output_scores=True
    )
    assert out.sequences.shape[1] == 8
    assert len(out.scores) == len(ending.scores) == 3
    expected = stages([0])(out.logits[0][:1], History.start([PROMPTS[0]]))
    assert torch.equal(ending.scores[0][:1], expected)
    assert torch.equal(out.scores[0][:1], expected)


class OnlyEven:
    """A constraint that allows nothing after the end token, as grammars do."""

    def allowed(self, sampled: Any) -> Tensor:
        if END in sampled:
            return torch.zeros(V, dtype=torch.bool)
        return (torch.arange(V) % 2 == 0) | (torch.arange(V) == END)


def test_nothing_is_asked_of_a_row_that_has_ended(model):
    pipeline = chain(AllowedTokens(OnlyEven()), LogitBias({END: 9.0}), Temperature(1.5))
    out = generated(model, padded(), ReferenceDraw(pipeline, seed=3))
    check(out, [(prompt, pipeline, {"seed": 3}) for prompt in PROMPTS], 5)
    assert len({row.tolist().index(END) for row in out.sequences[:, 5:]}) > 1
    processor = as_logits_processor(pipeline, **padded(), end_token_ids=[END])
    torch.manual_seed(0)
    done = model.generate(
        **padded(), logits_processor=[processor], do_sample=True, top_k=0, max_new_tokens=40
    )
    assert ((done[:, 5:] % 2 == 0) | (done[:, 5:] == END)).all()


def test_a_row_that_cannot_be_sampled_is_named(model):
    banned = chain(LogitBias([{}, dict.fromkeys(range(V), float("-inf")), {}]))
    with pytest.raises(UnsampleableRow, match="row 1 cannot be sampled after 5 token ids"):
        generated(model, padded(), ReferenceDraw(banned, seed=1))


def processed_by_generate(model: LlamaForCausalLM, processor: LogitsProcessor, **more: Any) -> Any:
    torch.manual_seed(1)
    options = {"do_sample": True, "top_k": 0, "max_new_tokens": 12, "return_dict_in_generate": True} | more
    return model.generate(
        **padded(), logits_processor=[processor], output_scores=True, output_logits=True, **options
    )


@pytest.mark.parametrize("choices", [1, 3])
def test_a_pipeline_as_a_logits_processor(model, choices):
    processor = as_logits_processor(stages(), **padded())
    for _ in range(2):  # one processor serves several calls of the same prompts
        out = processed_by_generate(model, processor, num_return_sequences=choices)
        for row in range(3 * choices):
            history, pipeline = History.start([PROMPTS[row // choices]]), stages([row // choices])
            for step, (logits, scores) in enumerate(zip(out.logits, out.scores, strict=True)):
                assert torch.equal(scores[row : row + 1], pipeline(logits[row : row + 1], history))
                history.accept(out.sequences[row, 5 + step : 6 + step])


def test_a_logits_processor_follows_beams_that_change_places(model):
    pipeline = chain(FrequencyPenalty(0.7), RepetitionPenalty(1.3, scope=Scope(prompt=True)))
    processor = as_logits_processor(pipeline, **padded())
    seen: list[tuple[Tensor, Tensor, Tensor]] = []

    class Watching(LogitsProcessor):
        def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
            seen.append((input_ids.clone(), scores.clone(), processor(input_ids, scores)))
            return seen[-1][-1]

    model.generate(**padded(), logits_processor=[Watching()], num_beams=2, do_sample=False, max_new_tokens=10)
    moved = 0
    for before, (ids, scores, processed) in zip([None, *seen], seen, strict=False):
        moved += before is not None and not torch.equal(ids[:, :-1], before[0])
        for row in range(6):
            history = History.start([PROMPTS[row // 2]], output_ids=[ids[row, 5:].tolist()])
            assert torch.equal(processed[row : row + 1], pipeline(scores[row : row + 1], history))
    assert moved > 0


WARPERS: list[tuple[LogitsProcessor, Any]] = [
    (RepetitionPenaltyLogitsProcessor(1.3), RepetitionPenalty(1.3, scope=Scope(prompt=True))),
    (TopKLogitsWarper(7), TopK(7)),
    (MinPLogitsWarper(0.1), MinP(0.1)),
]


@pytest.mark.parametrize(("theirs", "ours"), WARPERS, ids=lambda one: type(one).__name__)
def test_a_processor_of_transformers_as_a_stage(theirs, ours):
    """Rows of several lengths, each without padding, against our own stage that does the same."""
    logits = torch.randn(4, 50, generator=torch.Generator().manual_seed(2)) * 3
    history = History.start([[1, 2, 3], [4], [5, 6, 6], []], output_ids=[[7], [8, 9], [], [1]])
    before = logits.clone()
    assert torch.allclose(chain(as_stage(theirs))(logits, history), ours(logits, history), atol=1e-6)
    assert torch.equal(logits, before)


def test_stages_of_both_kinds_give_the_exact_draw(model):
    pipeline = chain(
        as_stage(RepetitionPenaltyLogitsProcessor(1.3)), Temperature(1.1), as_stage(TopKLogitsWarper(9))
    )
    out = generated(model, padded(), ReferenceDraw(pipeline, seed=6))
    check(out, [(prompt, pipeline, {"seed": 6}) for prompt in PROMPTS], 5)
    assert "TopKLogitsWarper" in str(pipeline.trace(out.logits[0], History.start(PROMPTS)))


class Wide(LogitsProcessor):
    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return torch.cat([scores, scores], -1)


class WithMore(LogitsProcessor):
    def __call__(self, input_ids: Tensor, scores: Tensor, beams: int) -> Tensor:
        return scores


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: as_stage(lambda ids, scores: scores), "processor: got .*must be a LogitsProcessor"),
        (lambda: as_stage(WithMore()), "WithMore takes input_ids, scores, beams"),
        (
            lambda: chain(as_stage(Wide()))(torch.zeros(1, 4), History.start([[1]])),
            r"as_stage\(Wide\), returned",
        ),
        (lambda: chain(TopKLogitsWarper(3)), "as_stage"),
        (
            lambda: as_logits_processor(stages(), **padded([[5]])),
            "logit_bias: got .3 values., must be one for all prompts",
        ),
        (lambda: as_logits_processor(TopK(3), torch.zeros(2, 0)), "input_ids"),
        (
            lambda: as_logits_processor(TopK(3), torch.ones(1, 2).long(), torch.tensor([[1, 0]])),
            "attention_mask: got 'row 0 ending in padding', must be padded on the left",
        ),
        (
            lambda: as_logits_processor(TopK(3), torch.ones(1, 2).long(), torch.ones(1, 3)),
            "attention_mask: got .1, 3",
        ),
        (
            lambda: ReferenceDraw(seed=1, rule="vllm-v1"),
            "rule: got 'vllm-v1', must be one of integer, gumbel",
        ),
        (lambda: ReferenceDraw(seed=1, logprobs="all"), "logprobs: got 'all'"),
    ],
)
def test_what_cannot_be_made_is_refused(made, message):
    with pytest.raises(InvalidArgument, match=message):
        made()


REFUSED: dict[str, tuple[dict[str, Any], ReferenceDraw, str]] = {
    "beams": ({"num_beams": 2}, ReferenceDraw(seed=1), "custom_generate: got 'beam_search'"),
    "lookup": ({"prompt_lookup_num_tokens": 2}, ReferenceDraw(seed=1), "got 'assisted_generation'"),
    "host's": (
        {"do_sample": True, "temperature": 0.5},
        ReferenceDraw(TopK(3), seed=1),
        "got 'TemperatureLogitsWarper, TopKL",
    ),
    "greedy": (
        {"do_sample": False},
        ReferenceDraw(seed=1),
        "do_sample: got False, must be True where there is no",
    ),
    "seeds": ({}, ReferenceDraw(TopK(3), seed=[1, 2]), "seed: got '2 values', must be one for all rows"),
    "lost": (
        {"return_dict_in_generate": False},
        ReferenceDraw(TopK(3), seed=1, top_logprobs=2),
        "top_logprobs: got 2, must be 0 without return_dict_in_generate",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_other_ways_of_decoding_are_refused(model, case):
    options, exact, message = REFUSED[case]
    with pytest.raises(InvalidArgument, match=message):
        generated(model, padded(), exact, **options)


def test_an_assistant_is_refused(model):
    with pytest.raises(InvalidArgument, match="custom_generate: got 'assisted_generation'"):
        generated(model, padded([[5, 6]]), ReferenceDraw(TopK(3), seed=1), assistant_model=model)


def test_prompts_that_are_embeddings_are_refused(model):
    with pytest.raises(InvalidArgument, match="inputs_embeds: got 'embeddings'"):
        model.generate(
            inputs_embeds=torch.zeros(1, 2, 32),
            custom_generate=ReferenceDraw(TopK(3), seed=1),
            max_new_tokens=2,
        )


def test_a_processor_before_the_hosts_truncations_is_refused(model):
    processor = as_logits_processor(stages(), **padded())
    with pytest.raises(
        InvalidArgument, match="got 'a pipeline before TemperatureLogitsWarper, TopKLogitsWarper'"
    ):
        processed_by_generate(model, processor, temperature=0.5, top_k=5)
    edits = as_logits_processor(chain(FrequencyPenalty(0.5)), **padded())
    assert processed_by_generate(model, edits, temperature=0.5, top_k=5).sequences.shape[0] == 3


def test_logits_on_another_device_and_other_prompts_are_refused():
    processor = as_logits_processor(stages(), **padded())
    ids = padded()["input_ids"]
    with pytest.raises(InvalidArgument, match="scores: got 'meta', must be on cpu"):
        processor(ids, torch.zeros(3, V, device="meta"))
    for other in (ids[:, -1:], ids + 1, ids[:2]):
        with pytest.raises(InvalidArgument, match=r"begin with the prompts .*continuous batching"):
            processor(other, torch.zeros(len(other), V))


def test_continuous_batching_is_refused_by_its_own_list():
    from transformers.generation.continuous_batching.cb_logits_processors import (
        ContinuousBatchingLogitsProcessorList,
    )

    processors = LogitsProcessorList([as_logits_processor(stages(), **padded())])
    with pytest.raises(
        InvalidArgument, match="'a pipeline in continuous batching', must be left to `generate`"
    ):
        ContinuousBatchingLogitsProcessorList(processors)


@pytest.mark.parametrize("version", ["5.2", "5.230.1", "6.0.0", "4.57.6"])
def test_another_version_of_the_host_is_refused(monkeypatch, version):
    monkeypatch.setattr(hosts, "version", lambda name: version)
    for made in (
        lambda: ReferenceDraw(seed=1),
        lambda: as_stage(TopKLogitsWarper(3)),
        lambda: as_logits_processor(TopK(3), torch.ones(1, 1).long()),
    ):
        with pytest.raises(InvalidArgument, match=f"transformers: got '{version}', must be 5.23 or 5.24"):
            made()


def test_a_generation_config_of_its_own_is_left_as_it_is(model):
    config = GenerationConfig(
        max_new_tokens=3, do_sample=True, temperature=0.8, eos_token_id=END, pad_token_id=PAD
    )
    model.generate(**padded(), generation_config=config, custom_generate=ReferenceDraw(seed=1))
    assert config.do_sample is True
