"""Text completions and the tokenizer over HTTP."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import jsonschema
import pytest
from jsonschema import Draft202012Validator
from server.live import PATIENCE

PATHS = ("/v1/completions", "/llm/v1/completions")
START = "The capital of"


def ask(server, path=PATHS[0], **fields):
    request = {"model": server.service.names[0], "prompt": START, **fields}
    return server.send(path, json.dumps(request).encode())


def tokenizer(server, path, **fields):
    return server.send(path, json.dumps(fields).encode())


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("prompt", [START, [2042, 5], [START, "Hi"], [[5], [6, 7]]])
def test_it_is_what_the_model_answers_in_python(server, toy, path, prompt):
    fields = {
        "prompt": prompt,
        "seed": 3,
        "n": 2,
        "echo": True,
        "logprobs": 2,
        "max_tokens": 8,
        "temperature": 2,
    }
    reply = ask(server, path, **fields)
    got, expected = reply.json, toy.complete(**fields, model=server.service.names[0])
    assert got["object"] == "text_completion"
    assert (got["usage"], got["system_fingerprint"]) == (expected["usage"], expected["system_fingerprint"])
    assert reply.headers["x-request-id"] == got["id"]
    for one, other in zip(got["choices"], expected["choices"], strict=True):
        assert one["text"] == other["text"]
        told, ours = (choice.pop("logprobs") for choice in (one, other))
        assert one == other
        assert [told[name] for name in ("tokens", "text_offset", "bytes")] == [
            ours[name] for name in ("tokens", "text_offset", "bytes")
        ]
        # a batch of another size rounds otherwise
        assert told["token_logprobs"][0] == ours["token_logprobs"][0]
        assert told["token_logprobs"][1:] == pytest.approx(ours["token_logprobs"][1:], abs=1e-4)


@pytest.mark.parametrize("echo", [False, True])
def test_a_stream_says_what_the_response_says(server, echo):
    fields = {
        "prompt": [START, "Hi", "The"],
        "n": 2,
        "seed": 5,
        "temperature": 2,
        "logprobs": 1,
        "echo": echo,
    }
    whole = ask(server, **fields).json
    *chunks, done = ask(server, **fields, stream=True).events
    assert done == "[DONE]"
    assert {chunk["id"] for chunk in chunks} == {chunks[0]["id"]}
    assert [chunk["usage"] for chunk in chunks if chunk.get("usage")] == [whole["usage"]]
    assert chunks[-1]["usage"]
    for choice in whole["choices"]:
        own = [c["choices"][0] for c in chunks if c["choices"][0]["index"] == choice["index"]]
        assert "".join(c["text"] for c in own) == choice["text"]
        told = [c["logprobs"] for c in own if c["logprobs"]]
        assert {name: [item for one in told for item in one[name]] for name in told[0]} == choice["logprobs"]
        assert [c["finish_reason"] for c in own if c["finish_reason"]] == [choice["finish_reason"]]


def test_a_stream_of_the_prompt_alone(server):
    first, last, done = ask(server, echo=True, max_tokens=0, stream=True).events
    assert (first["choices"][0]["text"], last["choices"][0]["finish_reason"], done) == (
        START,
        "length",
        "[DONE]",
    )


def test_more_prompts_than_rows_take_turns_and_others_get_in_between(serving, gate):
    """A request has one place in the queue, however many prompts it has."""
    small = serving(max_batch=1, max_queue=1)
    with ThreadPoolExecutor(2) as clients:
        many = clients.submit(ask, small, prompt=[f"{START} {i}" for i in range(6)], max_tokens=2)
        assert small.reaches("sampling_requests_waiting", 1)
        gate.let(1)
        assert small.metric("sampling_requests_waiting") == 1
        refused = ask(small, max_tokens=2)
        assert (refused.status, refused.error["code"]) == (429, "queue_full")
        gate.open()
        answer = many.result(PATIENCE).json
    assert [choice["index"] for choice in answer["choices"]] == [*range(6)]
    assert small.reaches("sampling_requests_running", 0)
    assert ask(small, max_tokens=1).status == 200


def test_prompts_of_two_requests_alternate(serving, gate):
    small = serving(max_batch=1, max_queue=4)
    with ThreadPoolExecutor(2) as clients:
        long = clients.submit(ask, small, prompt=["a", "b", "c"], max_tokens=1, logit_bias={"5": 100})
        assert small.reaches("sampling_requests_waiting", 1)
        short = clients.submit(ask, small, max_tokens=1, logit_bias={"5": 100})
        assert small.reaches("sampling_requests_waiting", 2)
        gate.let(
            3
        )  # the first of three prompts, the second, which came before the other request, and that request
        assert short.result(PATIENCE).status == 200
        assert not long.done()
        gate.open()
        assert long.result(PATIENCE).status == 200


def test_a_client_that_leaves_frees_all_its_prompts(serving, gate):
    import http.client

    small = serving(max_batch=1)
    connection = http.client.HTTPConnection("127.0.0.1", small.port, timeout=PATIENCE)
    body = json.dumps({"model": small.service.names[0], "prompt": ["a", "b", "c"]})
    connection.request("POST", PATHS[0], body)
    assert small.reaches("sampling_requests_waiting", 1)
    gate.let(1)
    connection.close()
    gate.open()
    assert small.reaches("sampling_requests_waiting", 0)
    assert small.reaches("sampling_requests_running", 0)
    assert small.metric('sampling_tokens_total{kind="completion"}') < 48


def test_a_prompt_that_fails_ends_the_request(serving, monkeypatch):
    from sampling.chat.completion import Completion

    small, accept = serving(max_batch=1), Completion.accept

    def failing(completion, choice, token):
        if completion.prepared.first_choice == 1:
            raise RuntimeError("a fault of the test's")
        return accept(completion, choice, token)

    monkeypatch.setattr(Completion, "accept", failing)
    reply = ask(small, prompt=["a", "b", "c"])
    assert (reply.status, reply.error["code"]) == (500, "internal_error")
    assert small.reaches("sampling_requests_running", 0)
    monkeypatch.undo()
    assert ask(small).status == 200


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": []}, "prompt"),
        ({"prompt": [[5, 2048]]}, "prompt[0][1]"),
        ({"prompt": ["a", 5]}, "prompt[1]"),
        ({"prompt": "a " * 600}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"logprobs": 21}, "logprobs"),
        ({"suffix": "."}, "suffix"),
        ({"best_of": 3}, "best_of"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 17}, "n"),
        ({"model": None}, "model"),
    ],
)
def test_what_is_refused_is_named(server, fields, param):
    reply = ask(server, **fields)
    assert (reply.status, reply.error["param"]) == (400, param)
    assert reply.error["type"] == "invalid_request_error"
    assert reply.error["message"].startswith(f"{param}: got ")


def test_another_model_is_404(server):
    reply = ask(server, model="another")
    assert (reply.status, reply.error["code"]) == (404, "model_not_found")


# --- the tokenizer ---


@pytest.mark.parametrize("below", ["", "/llm"])
def test_text_to_ids_and_back(server, toy, below):
    text = "<|begin_of_text|>é🙂 Hi<|eot_id|>"
    told = tokenizer(server, f"{below}/tokenize", prompt=text, return_token_strs=True).json
    ids = toy.tokenizer(text)["input_ids"]
    assert (told["tokens"], told["count"], told["max_model_len"]) == (ids, len(ids), 512)
    assert told["token_strs"][:2] == ["<|begin_of_text|>"] * 2
    plain = tokenizer(server, f"{below}/tokenize", prompt=text, add_special_tokens=False).json
    assert (plain["tokens"], plain["token_strs"]) == (ids[1:], None)
    assert tokenizer(server, f"{below}/detokenize", tokens=ids[1:]).json == {"prompt": text}
    assert tokenizer(server, f"{below}/detokenize", tokens=[]).json == {"prompt": ""}


def test_ids_of_a_chat_are_its_prompt(server, toy):
    messages = [{"role": "user", "content": "What is the capital of Turkey?"}]
    told = tokenizer(server, "/tokenize", messages=messages, model="sampling-toy").json
    text = toy.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert told["tokens"] == toy.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert told["count"] == toy.chat(messages, max_tokens=1)["usage"]["prompt_tokens"]
    open_ended = tokenizer(server, "/tokenize", messages=messages, add_generation_prompt=False).json
    assert told["tokens"][: open_ended["count"]] == open_ended["tokens"]


def test_what_clients_ask_about_the_tokenizer(server, toy):
    told = server.send("/tokenizer_info").json
    assert (told["bos_token"], told["eos_token"]) == (toy.tokenizer.bos_token, toy.tokenizer.eos_token)
    assert told["chat_template"] == toy.tokenizer.chat_template
    assert (told["vocab_size"], told["max_model_len"]) == (len(toy.tokenizer), 512)


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        ("/tokenize", {}, "prompt"),
        ("/tokenize", {"prompt": 5}, "prompt"),
        ("/tokenize", {"prompt": "a", "nope": 1}, "nope"),
        ("/tokenize", {"prompt": "a", "add_special_tokens": 1}, "add_special_tokens"),
        ("/tokenize", {"prompt": "a", "messages": [{"role": "user", "content": "a"}]}, "prompt"),
        ("/tokenize", {"messages": []}, "messages"),
        ("/tokenize", {"messages": [{"role": "user", "content": "a"}], "temperature": 1}, "temperature"),
        (
            "/tokenize",
            {"messages": [{"role": "user", "content": "a"}], "return_token_strs": 1},
            "return_token_strs",
        ),
        ("/detokenize", {}, "tokens"),
        ("/detokenize", {"tokens": "5"}, "tokens"),
        ("/detokenize", {"tokens": [1, 2048]}, "tokens[1]"),
        ("/detokenize", {"tokens": [True]}, "tokens[0]"),
    ],
)
def test_what_the_tokenizer_refuses_is_named(server, path, fields, param):
    reply = tokenizer(server, path, **fields)
    assert (reply.status, reply.error["param"]) == (400, param)


def test_the_tokenizer_is_of_the_model(serving):
    locked = serving(api_key="correct-horse", max_body=100)
    key = {"Authorization": "Bearer correct-horse"}
    assert locked.send("/tokenize", b'{"prompt": "a"}').status == 401
    assert locked.send("/tokenizer_info").status == 401
    assert locked.send("/tokenize", b'{"prompt": "a", "model": "another"}', **key).status == 404
    assert locked.send("/tokenize", b" " * 101, **key).status == 413


# --- the description ---


@pytest.mark.parametrize("dialect", ["qstash", "vllm"])
def test_responses_are_as_the_description_says(serving, dialect):
    fresh = serving(dialect=dialect)
    described = fresh.send("/openapi.json").json

    def check(value, name):
        schema = {"$ref": f"#/components/schemas/{name}", "components": described["components"]}
        Draft202012Validator.check_schema(schema)
        jsonschema.validate(value, schema, Draft202012Validator)

    fields = {"prompt": [START, "Hi"], "logprobs": 2, "n": 2, "max_tokens": 4, "echo": True}
    if dialect == "vllm":
        fields["return_token_ids"] = True
    check({"model": "sampling-toy", **fields, "stream": True}, "TextRequest")
    for chunk in ask(fresh, **fields, stream=True).events[:-1]:
        check(chunk, "TextChunk")
    if dialect == "vllm":
        fields["prompt_logprobs"] = 2
    check(ask(fresh, **fields).json, "TextCompletion")
    for asked, told, path, request in (
        ("TokenizeRequest", "Tokenized", "/tokenize", {"prompt": "Hi", "return_token_strs": True}),
        ("DetokenizeRequest", "Detokenized", "/detokenize", {"tokens": [5]}),
    ):
        check(request, asked)
        check(tokenizer(fresh, path, **request).json, told)
    check(fresh.send("/tokenizer_info").json, "TokenizerInfo")
