"""The tokenizer over HTTP, as vLLM's server has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from sampling.chat.checks import list_of
from sampling.chat.kinds import FLAG, Kind, text
from sampling.chat.prepared import prompt_of
from sampling.chat.request import ChatRequest
from sampling.core.errors import InvalidRequest, listed, reading_request
from sampling.core.params import json_integer
from sampling.server.connection import read_body
from sampling.server.replies import json_response
from sampling.server.service import Service
from sampling.server.turns import Turns
from sampling.server.values import read_object
from sampling.text import PlainPrompt, plain_prompt, prompt_texts

OF_ALL: Mapping[str, Kind] = {"model": text(), "return_token_strs": FLAG}
OF_TEXT: Mapping[str, Kind] = {**OF_ALL, "prompt": text(), "add_special_tokens": FLAG}
OF_CHATS = (*OF_ALL, "messages", "add_generation_prompt", "chat_template_kwargs", "continue_final_message")
SPECIAL = ("bos_token", "eos_token", "pad_token", "unk_token")

Fields = Mapping[str, Any]


class TokenizerEndpoints:
    """Text to token ids and back."""

    def __init__(self, service: Service, turns: Turns) -> None:
        self._service, self._turns = service, turns

    async def tokenize(self, request: Request) -> Response:
        """Tokenise a text, or the prompt of a conversation."""
        return await self._answer(request, self._tokenized)

    async def detokenize(self, request: Request) -> Response:
        """Return the text of token ids."""
        return await self._answer(request, self._detokenized)

    async def info(self, _: Request) -> Response:
        """Return what a client needs that makes prompts by itself."""
        loaded = self._service.loaded
        info = {
            "tokenizer_class": type(loaded.tokenizer).__name__,
            "chat_template": loaded.tokenizer.chat_template,
            **{name: getattr(loaded.tokenizer, name) for name in SPECIAL},
            "vocab_size": len(loaded.vocabulary),
            "max_model_len": self._service.context,
        }
        return json_response(info)

    async def _answer(self, request: Request, answer: Callable[[Fields], Fields]) -> Response:
        """Read a request's body, and answer it on a thread where it is its turn."""

        @reading_request()
        def checked(body: bytes) -> Response:
            given = {name: value for name, value in read_object(body).items() if value is not None}
            return json_response(answer(given))

        options = self._service.options
        body = await read_body(request.scope, request.receive, options.max_body, options.body_timeout)
        return await self._turns.check(body, checked)

    def _tokenized(self, given: Fields) -> Fields:
        if "messages" in given:
            ids = self._ids_of_messages(given)
        else:
            fields = self._read(given, OF_TEXT, "prompt")
            special = fields.get("add_special_tokens", True)
            ids = plain_prompt(
                self._service.loaded.tokenizer, fields["prompt"], add_special_tokens=special
            ).ids
        text_of = self._service.loaded.vocabulary.text_of
        strings = [text_of(token) for token in ids] if given.get("return_token_strs") else None
        return {
            "count": len(ids),
            "max_model_len": self._service.context,
            "tokens": [*ids],
            "token_strs": strings,
        }

    def _ids_of_messages(self, given: Fields) -> Sequence[int]:
        """Return the prompt of a conversation, as a chat completion has it."""
        require_known(given, OF_CHATS)
        own = {name: value for name, value in given.items() if name in OF_ALL}
        self._read(own, OF_ALL)
        asked = {name: value for name, value in given.items() if name not in OF_ALL}
        request = ChatRequest.parse(asked, self._service.dialect)
        return prompt_of(self._service.loaded, request, self._service.dialect).ids

    def _detokenized(self, given: Fields) -> Fields:
        fields = self._read(given, {"model": text(), "tokens": Kind({}, self._known_ids)}, "tokens")
        texts = prompt_texts(PlainPrompt(fields["tokens"]), self._service.loaded.vocabulary)
        return {"prompt": "".join(texts)}

    def _read(self, given: Fields, kinds: Mapping[str, Kind], needed: str | None = None) -> Fields:
        """Check the fields of a request, one of which it must have."""
        require_known(given, kinds)
        if needed is not None and needed not in given:
            raise InvalidRequest(needed, None, "given")
        if "model" in given:
            self._service.require_served(kinds["model"].read("model", given["model"]))
        return {name: kinds[name].read(name, value) for name, value in given.items()}

    def _known_ids(self, name: str, value: object) -> list[int]:
        """Check token ids that the tokenizer has."""
        items, most = list_of(value), len(self._service.loaded.vocabulary) - 1
        if items is None:
            raise InvalidRequest(name, value, "a list of token ids")
        return [json_integer(f"{name}[{index}]", item, 0, most) for index, item in enumerate(items)]


def require_known(given: Fields, names: Mapping[str, object] | Sequence[str]) -> None:
    """Refuse a field of another name."""
    for name, value in given.items():
        if name not in names:
            raise InvalidRequest(name, value, f"left out: known are {listed(names)}")
