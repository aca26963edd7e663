"""JSON mode from the request to the response: whatever the model would rather say."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import jsonschema
import pytest
import torch
from json_prefix import verdict
from scripted import ScriptedModel, byte_tokenizer, saying, scripted
from transformers import PreTrainedTokenizerFast

from sampling import InvalidRequest, LanguageModel, RowError, dialect, load
from sampling.chat.batch import ChatBatch
from sampling.chat.completion import Completion
from sampling.chat.prepared import prepare
from sampling.chat.request import ChatRequest
from sampling.text import grammar

ASK = [{"role": "user", "content": "Answer in JSON."}]
OBJECT = {"type": "json_object"}
POINT = {
    "type": "object",
    "properties": {"x": {"type": "integer"}, "label": {"enum": ["a", "b"]}},
    "required": ["x", "label"],
    "additionalProperties": False,
}


def schema_format(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def refuse(word: str) -> NoReturn:
    raise AssertionError(word)


def random_model(tokenizer: PreTrainedTokenizerFast, seed: int, steps: int, scale: float) -> LanguageModel:
    """Random logits; what closes strings, arrays and objects is likely enough to be written."""
    vocabulary = len(tokenizer)
    script = torch.randn(steps, vocabulary, generator=torch.Generator().manual_seed(seed)) * scale
    spelled = tokenizer.convert_ids_to_tokens(range(vocabulary))
    script[:, torch.tensor([token[:1] in '"}],:' for token in spelled])] += 4
    return scripted(script, tokenizer, context=300)


def check(choice: dict[str, Any]) -> bool:
    """A whole object, or the beginning of one where the length ended it."""
    content = choice["message"]["content"]
    if choice["finish_reason"] == "length":
        assert verdict(content.encode()) == "beginning", content
        return False
    assert choice["finish_reason"] == "stop"
    assert isinstance(json.loads(content, parse_constant=refuse), dict)
    assert verdict(content.encode()) == "whole"  # which bounds white space, too
    return True


@pytest.mark.parametrize("temperature", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("scale", [0.0, 1.0, 5.0], ids=["flat", "mild", "wild"])
def test_whatever_the_model_says_it_is_an_object(temperature: float, scale: float) -> None:
    tokenizer = byte_tokenizer('{"', "true", '": ', "    ", "né", "\n\n")
    whole = []
    for seed in range(8):
        model = random_model(tokenizer, seed, 60, scale)
        response = model.chat(
            ASK, response_format=OBJECT, temperature=temperature, seed=seed, n=3, max_tokens=60
        )
        whole += [check(choice) for choice in response["choices"]]
    assert any(whole) or temperature == 0


def test_with_the_tokens_of_llama3(llama3_tokenizer: PreTrainedTokenizerFast) -> None:
    model = random_model(llama3_tokenizer, 1, 30, 1.0)
    response = model.chat(ASK, response_format=OBJECT, seed=1, n=12, max_tokens=30)
    whole = [check(choice) for choice in response["choices"]]
    assert any(whole)


def test_with_the_toy() -> None:
    toy = load(None)
    response = toy.chat(
        [{"role": "user", "content": "What is the capital of Turkey?"}],
        response_format=OBJECT,
        temperature=2,
        seed=1,
        n=4,
        max_tokens=30,
    )
    for choice in response["choices"]:
        check(choice)


def test_what_is_json_already_is_left_alone() -> None:
    """Text, end and the model's own log probabilities are those of a request without a format."""
    model = saying(['{"', "a", '": ', "[", "1", "]", "}"])
    fields: dict[str, Any] = {"temperature": 0, "logprobs": True, "top_logprobs": 3}
    plain, guided = (
        model.chat(ASK, **fields, **more)["choices"] for more in ({}, {"response_format": OBJECT})
    )
    assert guided[0]["message"]["content"] == '{"a": [1]}'
    assert guided == plain


@pytest.mark.parametrize(
    "form", [OBJECT, schema_format(POINT), schema_format({})], ids=["object", "point", "any"]
)
def test_endless_white_space_ends(form: dict[str, Any]) -> None:
    """A model that likes white space best writes no blank lines, and no more of it than pretty printing."""
    tokenizer = byte_tokenizer("\n\n\n\n", "    ", "  \n")
    script = torch.zeros(1, len(tokenizer))
    script[0, [ord(" "), ord("\n"), ord("\t"), 256, 257, 258]] = 20.0
    script[0, [*b'"}]0']] = 10.0
    model = scripted(script, tokenizer, context=300)
    for seed in range(5):
        choice = model.chat(ASK, response_format=form, seed=seed, max_tokens=200)["choices"][0]
        outside = re.sub(r'"(\\.|[^"\\])*("|$)', '""', choice["message"]["content"], flags=re.DOTALL)
        assert not re.search(r"\n[ \t]*\n|[ \t]\n", outside)
        assert max(map(len, re.findall(r"\s+", outside)), default=0) <= 1 + 8 * 8


def test_chunks_join_to_the_same_object() -> None:
    model = random_model(byte_tokenizer('{"', '": '), 3, 60, 1.0)
    fields: dict[str, Any] = {"response_format": OBJECT, "seed": 5, "max_tokens": 60}
    whole = model.chat(ASK, **fields)["choices"][0]["message"]["content"]
    chunks = [chunk for chunk in model.chat(ASK, stream=True, **fields) if chunk["choices"]]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == whole


class AfterItsToken(ScriptedModel):
    """A row's logits are those that the script has for its last token, whatever the others do."""

    def next_logits(self, token_ids: torch.Tensor, cache: object, counts: object = None) -> torch.Tensor:
        return self.script[token_ids[:, -1] % len(self.script)]


def test_beside_a_request_that_wants_text() -> None:
    """In one batch each is what it is alone."""
    model = random_model(byte_tokenizer('{"', '": '), 4, 40, 1.0)
    model.model = AfterItsToken(model.model.script, context=300, end_id=model.tokenizer.eos_token_id)
    requests = [
        ChatRequest.parse({"messages": ASK, "seed": 1, "max_tokens": 40, **more})
        for more in ({"response_format": OBJECT}, {}, {"response_format": schema_format(POINT)})
    ]
    alone = [content(model, [request])[0] for request in requests]
    assert content(model, requests) == alone
    assert verdict(alone[0].encode()) != "neither"
    assert verdict(alone[1].encode()) == "neither"


def content(model: LanguageModel, requests: list[ChatRequest]) -> list[str]:
    """What comes of requests that decode together."""
    qstash = dialect("qstash")
    together = [Completion(prepare(model, request, qstash)) for request in requests]
    batch = ChatBatch(model, qstash, rows=len(together), capacity=300)
    for completion in together:
        batch.add(completion)
    for _ in batch.run():
        pass
    return [completion.choices[0].content for completion in together]


def test_a_schema_is_followed() -> None:
    tokenizer = byte_tokenizer('{"', '": ', '"label"')
    ended = 0
    for seed in range(10):
        model = random_model(tokenizer, seed, 80, 1.0)
        response = model.chat(ASK, response_format=schema_format(POINT), seed=seed, max_tokens=80)
        choice = response["choices"][0]
        if choice["finish_reason"] == "stop":
            jsonschema.validate(json.loads(choice["message"]["content"]), POINT)
            ended += 1
    assert ended >= 3


def test_a_schema_that_can_not_be_followed_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="Unimplemented keys") as caught:
        saying(["x"]).chat(ASK, response_format=schema_format({"not": {"type": "string"}}))
    assert caught.value.param == "response_format.json_schema.schema"


def test_a_schema_that_is_too_much_later_on_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(grammar.LIMITS, "max_lexer_states", 100)
    model = saying(['"', "a", "b", "a", "a", "b", "b", "a", "b", "a", "a"] * 20)
    hard = {"type": "string", "pattern": "^(.*a.{40})+$"}
    with pytest.raises(
        RowError, match=r"choice 0: nothing left .*too much for llguidance: lexer error: too many states"
    ):
        model.chat(ASK, response_format=schema_format(hard), temperature=0)
