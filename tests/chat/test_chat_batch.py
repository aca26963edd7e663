"""Completions that decode together: each as it would be alone, rows freed at once, faults kept apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from sampling import dialect, load
from sampling.chat.batch import ChatBatch
from sampling.chat.completion import Completion
from sampling.chat.language_model import LanguageModel
from sampling.chat.prepared import prepare
from sampling.chat.request import ChatRequest
from sampling.core.errors import InvalidArgument, RowError

QSTASH = dialect("qstash")
ROWS = 6


@pytest.fixture(scope="module")
def toy() -> LanguageModel:
    return load(None)


def completion(toy: LanguageModel, text: str, **fields: Any) -> Completion:
    request = ChatRequest.parse({"messages": [{"role": "user", "content": text}], **fields})
    return Completion(prepare(toy, request, QSTASH))


def batch_of(toy: LanguageModel, rows: int = ROWS) -> ChatBatch:
    return ChatBatch(toy, QSTASH, rows=rows, capacity=128)


def answers(done: Completion) -> list[dict[str, Any]]:
    return done.response()["choices"]


def requests(toy: LanguageModel) -> list[Completion]:
    """Different parameters, lengths and numbers of choices."""
    fields: list[dict[str, Any]] = [
        {"seed": 1, "temperature": 1.5, "logprobs": True, "top_logprobs": 4},
        {"seed": 2, "temperature": 1.2, "n": 3, "presence_penalty": 1.0},
        {"seed": 3, "top_p": 0.8, "stop": ["is"]},
        {"seed": 4, "temperature": 2, "max_tokens": 3, "logit_bias": {"100": 5}},
        {"seed": 5, "temperature": 1.9, "n": 2, "frequency_penalty": -1.0, "logprobs": True},
        {"seed": 6, "temperature": 0},
        {"seed": 7, "temperature": 1.7, "n": 6},
    ]
    texts = ["What is the capital of Peru?", "Name a fruit.", "Hi"]
    return [
        completion(toy, texts[index % 3], **{"max_tokens": 60, **each}) for index, each in enumerate(fields)
    ]


def test_each_is_what_it_is_alone_in_a_batch_of_the_same_size(toy):
    """To the last bit: a batch runs all its rows every step, whoever is in them."""
    alone = []
    for one in requests(toy):
        batch = batch_of(toy)
        batch.add(one)
        list(batch.run())
        alone.append(answers(one))
    together, waiting, batch, steps = requests(toy), requests(toy), batch_of(toy), 0
    together = list(waiting)
    while waiting or batch.running:
        while (
            waiting and waiting[0].prepared.request.n <= batch.free_rows and steps >= 2 * (7 - len(waiting))
        ):
            batch.add(waiting.pop(0))
        batch.prefill()
        if batch.decoding:
            batch.step()
        steps += 1
    assert [answers(one) for one in together] == alone
    assert batch.free_rows == ROWS


def test_choices_share_one_prefill(toy, monkeypatch):
    widths: list[tuple[int, ...]] = []
    forward = toy.model.next_logits

    def counted(tokens: torch.Tensor, *rest: Any) -> torch.Tensor:
        widths.append(tuple(tokens.shape))
        return forward(tokens, *rest)

    monkeypatch.setattr(toy.model, "next_logits", counted)
    one = completion(toy, "Name a fruit.", n=4, seed=1, max_tokens=3)
    list(ChatBatch.alone(one).run())
    assert widths == [(1, len(one.prepared.prompt_ids)), (4, 1), (4, 1)]


def test_choice_i_does_not_depend_on_n(toy):
    fields = {"seed": 11, "temperature": 1.5, "max_tokens": 12}
    one, many = completion(toy, "Hi", **fields), completion(toy, "Hi", n=5, **fields)
    for each in (one, many):
        batch = batch_of(toy)
        batch.add(each)
        list(batch.run())
    assert answers(one)[0] == answers(many)[0]
    assert len({answer["message"]["content"] for answer in answers(many)}) > 1


def test_a_row_that_ends_frees_its_place(toy):
    batch = batch_of(toy, rows=2)
    short, long = (
        completion(toy, "Hi", seed=1, max_tokens=1),
        completion(toy, "Hi", seed=1, max_tokens=9, logit_bias={"2043": -100, "2047": -100}),
    )
    batch.add(short)
    batch.add(long)
    assert batch.free_rows == 0
    batch.prefill()
    batch.step()
    assert not short.running
    assert batch.free_rows == 1
    batch.add(completion(toy, "Hi", seed=2, max_tokens=2))
    list(batch.run())
    assert batch.free_rows == 2


def test_a_completion_can_be_given_up(toy):
    batch = batch_of(toy)
    kept, dropped = requests(toy)[0], requests(toy)[1]
    batch.add(kept)
    batch.add(dropped)
    batch.prefill()
    batch.step()
    batch.remove(dropped)
    assert batch.free_rows == ROWS - 1
    list(batch.run())
    alone = batch_of(toy)
    alone.add(again := requests(toy)[0])
    list(alone.run())
    assert answers(kept) == answers(again)


def test_a_fault_in_one_row_ends_its_completion_alone(toy, monkeypatch):
    forward = toy.model.next_logits

    def broken(tokens: torch.Tensor, *rest: Any) -> torch.Tensor:
        logits = forward(tokens, *rest)
        if len(logits) == ROWS:
            logits[2] = torch.nan
        return logits

    batch, (first, second, third) = batch_of(toy), requests(toy)[:3]
    for one in (first, second, third):  # rows 0; 1, 2, 3; 4
        batch.add(one)
    batch.prefill()
    monkeypatch.setattr(toy.model, "next_logits", broken)
    batch.step()
    outcome = batch.step()
    assert outcome[1] == (second, [])
    assert isinstance(second.error, RowError)
    assert str(second.error) == "choice 1: NaN or +infinity in the logits after the model"
    assert batch.free_rows == ROWS - 2
    list(batch.run())
    assert first.error is None
    assert not third.running


def test_what_does_not_fit_is_refused_and_changes_nothing(toy):
    batch = batch_of(toy, rows=2)
    with pytest.raises(InvalidArgument, match="n: got 3, must be at most 2, the rows that are free"):
        batch.add(completion(toy, "Hi", n=3, seed=1, max_tokens=3))
    with pytest.raises(InvalidArgument, match="max_tokens: got 120, must be with the prompt's"):
        batch.add(completion(toy, "Hi", seed=1, max_tokens=120))
    assert batch.free_rows == 2
    assert not batch.running


def test_long_prompts_go_through_in_parts(toy):
    """A context wider than one part of the prefill: the same logits as one pass over the whole prompt."""
    text = "What is the capital of Peru? " * 100
    wide = LanguageModel(toy.model, toy.tokenizer, "wide")
    config = replace(toy.model.config, max_position_embeddings=2048)
    toy.model.config, narrow = config, toy.model.config
    try:
        one = completion(wide, text, seed=1, temperature=0, max_tokens=4, logprobs=True)
        batch = ChatBatch.alone(one)
        assert len(one.prepared.prompt_ids) > 512
        while not batch.decoding:
            batch.prefill()
        whole = wide.logits(one.prepared.prompt_ids)[-1]
        torch.testing.assert_close(batch.decoder.next_logits()[0], whole, atol=1e-4, rtol=1e-4)
    finally:
        toy.model.config = narrow
