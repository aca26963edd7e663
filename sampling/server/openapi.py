"""The server's description of itself, OpenAPI 3.1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sampling.server import schemas
from sampling.server.paths import (
    CHAT_PATHS,
    DETOKENIZE_PATHS,
    MODELS_PATHS,
    TEXT_PATHS,
    TOKENIZE_PATHS,
    TOKENIZER_INFO_PATHS,
)
from sampling.server.service import Service
from sampling.version import __version__

REFUSALS = {
    400: "A field is not allowed, or the request does not fit into memory; `param` names the field.",
    401: "No bearer token, or a wrong one.",
    404: "No model of that name is served.",
    408: "The body does not come to its end in time.",
    413: "The body is too large.",
    429: "As many requests wait as may wait.",
    500: "A fault of the server's own.",
    503: "The server is shutting down, or memory does not suffice for the request beside those that run.",
}
REFUSAL_HEADERS = {401: "WWW-Authenticate", 429: "Retry-After"}


def description(service: Service) -> dict[str, Any]:
    """Describe all routes of a server."""
    locked = service.options.api_key is not None
    paths = {
        **posts(CHAT_PATHS, "Create a chat completion", "", locked=locked),
        **posts(TEXT_PATHS, "Continue texts", "Text", locked=locked),
        **tokenizer_paths(locked=locked),
    }
    schemes = {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}} if locked else {}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Completions of the reference sampler", "version": __version__},
        "paths": {**paths, **models_paths(service.names, locked=locked), **readable_paths(locked=locked)},
        "components": {"schemas": component_schemas(service), **schemes},
    }


def component_schemas(service: Service) -> dict[str, Any]:
    """Return the schemas by name."""
    limits = {
        "vocab_size": service.loaded.model.config.vocab_size,
        "most_choices": service.options.max_batch,
    }
    return {
        "Request": schemas.request_schema(service.dialect, names=service.names, **limits),
        "Completion": schemas.completion_schema(service.dialect),
        "Chunk": schemas.chunk_schema(service.dialect),
        "TextRequest": schemas.text_request_schema(service.dialect, names=service.names, **limits),
        "TextCompletion": schemas.text_completion_schema(service.dialect, chunk=False),
        "TextChunk": schemas.text_completion_schema(service.dialect, chunk=True),
        "TokenizeRequest": schemas.tokenize_schema(service.dialect, names=service.names),
        "Tokenized": schemas.TOKENIZED,
        "DetokenizeRequest": schemas.detokenize_schema(
            names=service.names, tokens=len(service.loaded.vocabulary)
        ),
        "Detokenized": schemas.DETOKENIZED,
        "TokenizerInfo": schemas.TOKENIZER_INFO,
        "Error": schemas.ERROR,
        "Models": schemas.MODELS,
        "Model": schemas.MODEL,
        "Health": schemas.HEALTH,
    }


def posts(paths: Sequence[str], summary: str, of: str, *, locked: bool) -> dict[str, Any]:
    """Return the paths of an endpoint of completions."""
    return {path: {"post": completion_operation(path, summary, of, locked=locked)} for path in paths}


def completion_operation(path: str, summary: str, of: str, *, locked: bool) -> dict[str, Any]:
    """Return an endpoint of completions, whose schemas have names that begin alike."""
    # OpenAPI 3.1 has no words for the data of an event, so the schema only says it to people
    stream = {
        "schema": {"description": f"Server-sent events: the data of each is a {of}Chunk, of the last [DONE]."}
    }
    content = {**json_content(f"{of}Completion"), "text/event-stream": stream}
    return {
        "operationId": operation_id(path),
        "summary": summary,
        "requestBody": {"required": True, "content": json_content(f"{of}Request")},
        "responses": {
            "200": answer("The completion, or its chunks.", content),
            **refusals(*REFUSALS, locked=locked),
        },
        **security(locked=locked),
    }


def tokenizer_paths(*, locked: bool) -> dict[str, Any]:
    """Return the endpoints of the tokenizer."""
    paths: dict[str, Any] = {}
    for names, words, asked, told in (
        (TOKENIZE_PATHS, "The token ids of a text", "TokenizeRequest", "Tokenized"),
        (DETOKENIZE_PATHS, "The text of token ids", "DetokenizeRequest", "Detokenized"),
    ):
        body = {"requestBody": {"required": True, "content": json_content(asked)}}
        for path in names:
            statuses = (400, 401, 404, 408, 413, 503)
            operation = read(operation_id(path), words, json_content(told), *statuses, locked=locked)
            paths[path] = {"post": {**operation, **body}}
    for path in TOKENIZER_INFO_PATHS:
        words = "The tokenizer"
        paths[path] = {
            "get": read(operation_id(path), words, json_content("TokenizerInfo"), 401, locked=locked)
        }
    return paths


def operation_id(path: str) -> str:
    """Return a name for an operation that no other has."""
    return path.strip("/").replace("/", "_")


def models_paths(names: Sequence[str], *, locked: bool) -> dict[str, Any]:
    """Return the models, all of them and each."""
    named = {"name": "model", "in": "path", "required": True, "schema": {"enum": [*names]}}
    paths: dict[str, Any] = {}
    for path in MODELS_PATHS:
        name = operation_id(path)
        every = read(name, "The models", json_content("Models"), 401, locked=locked)
        one = read(f"{name}_one", "One of the models", json_content("Model"), 401, 404, locked=locked)
        paths |= {path: {"get": every}, f"{path}/{{model}}": {"get": {**one, "parameters": [named]}}}
    return paths


def readable_paths(*, locked: bool) -> dict[str, Any]:
    """Return what else can be read."""
    plain, whole = (
        {"text/plain": {"schema": schemas.TEXT}},
        {"application/json": {"schema": {"type": "object"}}},
    )
    return {
        "/health": {"get": read("health", "Requests are taken", json_content("Health"), 503, locked=False)},
        "/metrics": {"get": read("metrics", "Prometheus metrics", plain, 401, locked=locked)},
        "/openapi.json": {"get": read("openapi", "This description", whole, 401, locked=locked)},
    }


def read(name: str, words: str, content: dict[str, Any], *statuses: int, locked: bool) -> dict[str, Any]:
    """Return an endpoint without parameters."""
    responses = {"200": answer(f"{words}.", content), **refusals(*statuses, locked=locked)}
    return {"operationId": name, "summary": words, "responses": responses, **security(locked=locked)}


def security(*, locked: bool) -> dict[str, Any]:
    """Return the requirement of a key."""
    return {"security": [{"key": []}]} if locked else {}


def refusals(*statuses: int, locked: bool) -> dict[str, Any]:
    """Return the errors that an operation can answer with."""
    possible = [status for status in statuses if locked or status != 401]
    return {str(status): answer(REFUSALS[status], json_content("Error"), status) for status in possible}


def answer(words: str, content: dict[str, Any], status: int = 200) -> dict[str, Any]:
    """Return a response: what it means, its body and its headers."""
    names = ["x-request-id", *([REFUSAL_HEADERS[status]] if status in REFUSAL_HEADERS else [])]
    headers = {name: {"schema": schemas.TEXT} for name in names}
    return {"description": words, "content": content, "headers": headers}


def json_content(name: str) -> dict[str, Any]:
    """Return a JSON body of a schema."""
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
