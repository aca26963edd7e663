"""The models that are served: all of them, and each by its name."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from server.live import live

from sampling.server import PAGE_MODEL, ServerOptions

ODD_NAMES = ("a/b/c", "ü ✓", "50%", "%2F", "a?b#c", "..", "x" * 300)


@pytest.fixture(scope="module")
def odd(toy):
    """A server with names that a URL cannot hold as they are."""
    with live(toy, ServerOptions(names=ODD_NAMES, max_context=100)) as running:
        yield running


PREFIXES = ["/v1", "/llm/v1"]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_models_are_listed_as_openai_and_vllm_list_them(server, prefix):
    listed = server.send(f"{prefix}/models").json
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["sampling-toy", PAGE_MODEL]
    fields = {"id", "object", "created", "owned_by", "root", "max_model_len"}
    assert all(set(model) == fields for model in listed["data"])
    assert all(model["root"] == "sampling-toy" for model in listed["data"])


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("slash", ["/", "%2F", "%2f"])
def test_a_name_with_slashes_is_found_however_they_are_written(server, prefix, slash):
    found = server.send(f"{prefix}/models/{PAGE_MODEL.replace('/', slash)}").json
    assert found["id"] == PAGE_MODEL
    assert found in server.send(f"{prefix}/models").json["data"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_of_any_characters_is_found(odd, name):
    found = odd.send(f"/v1/models/{quote(name, safe='')}").json
    assert (found["id"], found["max_model_len"]) == (name, 100)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("name", ["gpt-4", "", "sampling-toy/", "meta-llama", "%FF%00", "SAMPLING-TOY"])
def test_another_name_is_404_in_the_form_of_the_api(server, prefix, name):
    reply = server.send(f"{prefix}/models/{name}")
    assert (reply.status, reply.error["code"], reply.error["param"]) == (404, "model_not_found", "model")
    assert "must be one of sampling-toy, meta-llama/" in reply.error["message"]


def test_another_name_of_any_length_gets_a_short_answer(odd):
    reply = odd.send("/v1/models/" + "y" * 15_000)
    assert reply.status == 404
    assert len(reply.content) < 1000
    assert len(odd.send("/v1/models/gpt-4").content) < 1000


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/models/sampling-toy", "/llm/v1/models/nobody", "/health"]
)
def test_head_is_get_without_the_body(server, path):
    whole, head = server.send(path), server.send(path, method="HEAD")
    assert (head.status, head.content) == (whole.status, b"")
    assert head.headers["content-length"] == whole.headers["content-length"]


@pytest.mark.parametrize("method", ["OPTIONS", "POST", "DELETE"])
def test_other_methods_are_told_what_there_is(server, method):
    for path in ("/v1/models", "/v1/models/sampling-toy", "/llm/v1/models/sampling-toy"):
        reply = server.send(path, method=method)
        assert (reply.status, reply.error["code"]) == (405, "method_not_allowed")
        assert set(reply.headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_a_key_is_needed(toy):
    with live(toy, ServerOptions(api_key="KEY")) as locked:
        for path in ("/v1/models", "/v1/models/sampling-toy", "/llm/v1/models/nobody"):
            assert locked.send(path).status == 401
        assert locked.send("/v1/models/sampling-toy", authorization="Bearer KEY").status == 200
