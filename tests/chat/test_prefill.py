"""The answer goes on from the end of the final message, and the prompt ends where the request says."""

from __future__ import annotations

from typing import Any

import pytest
from pages import joined
from scripted import saying

from sampling import load
from sampling.chat.language_model import LanguageModel
from sampling.chat.prepared import prepare
from sampling.chat.request import ChatRequest
from sampling.core.errors import InvalidRequest
from sampling.dialects import dialect

QUESTION = [{"role": "user", "content": "What is the capital of Turkey?"}]
ANSWER = "The capital of Turkey is Ankara."


@pytest.fixture(scope="module")
def toy() -> LanguageModel:
    return load(None)


def with_start(start: str) -> list[dict[str, str]]:
    """The question, and the beginning of an answer."""
    return [*QUESTION, {"role": "assistant", "content": start}]


def content(response: dict[str, Any]) -> str:
    return response["choices"][0]["message"]["content"]


@pytest.mark.parametrize("name", ["qstash", "vllm", "vllm-v1", "sglang"])
@pytest.mark.parametrize("size", [3, 11, 21, 24])
def test_the_answer_is_the_rest_of_the_answer(toy, size, name):
    """By whole words, so that the tokens are those of the whole answer."""
    start = ANSWER[:size]
    response = toy.chat(with_start(start), continue_final_message=True, temperature=0, dialect=name)
    assert content(response) == ANSWER[size:]
    whole = toy.chat(QUESTION, temperature=0, dialect=name)
    assert content(whole) == ANSWER
    assert response["usage"]["total_tokens"] == whole["usage"]["total_tokens"]


def test_a_stream_has_the_continuation_only(toy):
    chunks = toy.chat(
        with_start("The capital"), continue_final_message=True, temperature=0, seed=1, stream=True
    )
    response = joined(chunks)
    assert response["choices"][0]["message"] == {"role": "assistant", "content": ANSWER[11:]}


def test_text_that_is_continued_stays_text(toy):
    """Its control tokens are text, and of white space at its end it has what the template leaves: none."""
    template = toy.tokenizer.apply_chat_template(QUESTION, add_generation_prompt=True, return_dict=False)
    ids = prompt_ids(toy, with_start("<|eot_id|> is \n"), continue_final_message=True)
    assert ids[: len(template)] == template
    assert toy.tokenizer.decode(ids[len(template) :]) == "<|eot_id|> is"
    assert toy.tokenizer.eos_token_id not in ids[len(template) :]


def prompt_ids(
    model: LanguageModel, messages: list[dict[str, str]], name: str = "qstash", **fields: Any
) -> list[int]:
    request = ChatRequest.parse({"messages": messages, **fields}, name)
    return prepare(model, request, dialect(name)).prompt_ids


@pytest.mark.parametrize("start", ["The", "The capital ", "\n\nThe", "", " "])
@pytest.mark.parametrize("name", ["qstash", "vllm", "transformers"])
def test_the_ids_are_those_of_transformers(toy, start, name):
    messages = with_start(start)
    expected = toy.tokenizer.apply_chat_template(messages, continue_final_message=True, return_dict=False)
    for more in ({}, {"add_generation_prompt": False}):
        assert prompt_ids(toy, messages, name, continue_final_message=True, **more) == expected


def test_sglang_s_ids_are_those_of_the_parts(toy):
    """serving_chat.py, _append_assistant_prefix_to_prompt_ids: the text as it is, tokenised by itself."""
    template = toy.tokenizer.apply_chat_template(QUESTION, add_generation_prompt=True, return_dict=False)
    for start in ("The capital ", "\n\nThe", " "):
        expected = template + toy.tokenizer.encode(start, add_special_tokens=False)
        assert prompt_ids(toy, with_start(start), "sglang", continue_final_message=True) == expected
    assert prompt_ids(toy, with_start(""), "sglang", continue_final_message=True) == template


@pytest.mark.parametrize("name", ["qstash", "vllm-0.4", "vllm", "transformers", "llama.cpp"])
def test_the_beginning_of_an_answer_may_be_left_out(toy, name):
    def expected(generation: bool) -> list[int]:
        ids = toy.tokenizer.apply_chat_template(QUESTION, add_generation_prompt=generation, return_dict=False)
        return [toy.tokenizer.bos_token_id, *ids] if name == "vllm-0.4" and doubles(toy) else ids

    assert prompt_ids(toy, QUESTION, name, add_generation_prompt=False) == expected(False)
    assert prompt_ids(toy, QUESTION, name, add_generation_prompt=True) == expected(True)
    assert prompt_ids(toy, QUESTION, name) == expected(True)


def doubles(toy: LanguageModel) -> bool:
    """Whether the tokenizer puts a BOS before every text."""
    return toy.tokenizer("").input_ids == [toy.tokenizer.bos_token_id]


def test_an_assistant_s_message_without_it_is_an_ordinary_one(toy):
    """A new answer is begun behind it."""
    expected = toy.tokenizer.apply_chat_template(
        with_start("x"), add_generation_prompt=True, return_dict=False
    )
    assert prompt_ids(toy, with_start("x")) == expected
    assert prompt_ids(toy, with_start("x"), continue_final_message=False) == expected


REFUSED = [
    (QUESTION, {"continue_final_message": True}, "continue_final_message: got True, must be left out"),
    (
        with_start("x"),
        {"continue_final_message": True, "add_generation_prompt": True},
        "add_generation_prompt: got True, must be false with continue_final_message",
    ),
    (with_start("x"), {"continue_final_message": "content"}, "got 'content', must be true or false"),
    (with_start("x"), {"continue_final_message": 1}, "continue_final_message: got 1, must be true or false"),
    (QUESTION, {"add_generation_prompt": 0}, "add_generation_prompt: got 0, must be true or false"),
]


@pytest.mark.parametrize(
    ("messages", "fields", "words"), REFUSED, ids=[str(index) for index in range(len(REFUSED))]
)
def test_what_can_not_be_is_refused(messages, fields, words):
    with pytest.raises(InvalidRequest, match=words):
        ChatRequest.parse({"messages": messages, **fields})


def test_a_template_that_does_not_show_the_message_to_its_end_refuses():
    loaded = saying(["a"])
    loaded.tokenizer.chat_template = "{% for m in messages %}{{ m.content[:3] }}{% endfor %}"
    with pytest.raises(InvalidRequest, match="does not show the final message") as caught:
        loaded.chat(with_start("The capital"), continue_final_message=True)
    assert caught.value.param == "continue_final_message"


def test_stop_strings_and_penalties_see_the_continuation_only(toy):
    """The prompt is the prompt, wherever it ends."""
    asked = {"continue_final_message": True, "temperature": 0}
    stopped = toy.chat(with_start("The capital"), stop=["capital", "is"], **asked)
    assert content(stopped) == " of Turkey "
    penalised = toy.chat(with_start("The capital of Turkey"), frequency_penalty=2, **asked)
    assert content(penalised) == ANSWER[21:]
