"""Tokens that look alike, bytes of parts of characters, and where bytes and a message part: by hand."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from conformance.letters import lettered
from conformance.lies import entries
from conformance.proxy import Fields
from conformance.transports import answering, in_process

from sampling import load, verify
from sampling.chat.language_model import LanguageModel
from sampling.chat.response import begun_by, described
from sampling.conformance.endpoint.profile import EndpointProfile
from sampling.conformance.endpoint.reply import Choice
from sampling.conformance.endpoint.reported import difference
from sampling.conformance.endpoint.tokenizer import tokenized
from sampling.conformance.endpoint.whole_prompts import whole_prompt
from sampling.conformance.verdict import Verdict
from sampling.dialects.vllm import VLLM


@pytest.fixture(scope="module")
def toy() -> LanguageModel:
    return load(None)


def said(text: str, *tokens: list[int] | None, reason: str = "length") -> Choice:
    """A choice of tokens of some bytes."""
    content: list[Any] = [{"token": "?", "logprob": -1.0, "bytes": raw} for raw in tokens]
    told = {"message": {"content": text}, "finish_reason": reason, "logprobs": {"content": content}}
    return Choice.model_validate(told)


WHOLE = [[0xE4], [0xB8], [0xAD]]  # of one character, U+4E2D


@pytest.mark.parametrize(
    ("choice", "lost", "words"),
    [
        (said("A", [65]), False, ""),
        (said("\u4e2d", *WHOLE), False, ""),
        (said("\ufffd", [0xE4]), False, ""),
        (said("", [0xE4]), False, ""),  # held back: the message ends before what is not finished
        (said("A", [65], [60, 47, 62], reason="stop"), False, ""),  # the token that ended it
        (said("A", [65], [60, 47, 62]), False, "behind 1 characters"),
        (said("\ufffdA", [], [65]), True, ""),
        (said("\ufffdA", [], [65]), False, "behind 0 characters"),
        (said("\ufffd", [0xEF, 0xBF, 0xBD]), False, "U+FFFD itself"),
        (said("x" * 50 + "a", [*b"x" * 50], [98]), False, "behind 50 characters the bytes go on with 'b'"),
    ],
)
def test_where_bytes_and_a_message_part(choice: Choice, lost: bool, words: str):
    found = difference(choice, lost=lost)
    assert found == "" if not words else words in found


class Two:
    """A vocabulary of the bytes of one character, a letter and a special token."""

    def bytes_of(self, token: int) -> bytes | None:
        return {0: b"\xe4", 1: b"\xb8", 2: b"\xad", 3: b"A"}.get(token)

    def text_of(self, token: int) -> str:
        raw = self.bytes_of(token)
        return "<eos>" if raw is None else raw.decode(errors="replace")


def test_vllm_shows_a_character_with_the_token_that_finishes_it_and_special_tokens_by_name():
    """Run on vLLM 0.32, and read in 0.33: LogprobsProcessor._correct_decoded_token."""
    begun, shown = b"", []
    for token in (3, 0, 1, 2, 9):
        entry = described(token, -1.0, Two(), VLLM, begun)  # type: ignore[arg-type]
        shown.append((entry["token"], entry["bytes"]))
        begun = begun_by(begun + (Two().bytes_of(token) or b""))
    character = ("\u4e2d", [0xE4, 0xB8, 0xAD])
    assert shown == [("A", [65]), ("", []), ("", []), character, ("<eos>", [*b"<eos>"])]


def alike(own: int) -> Any:
    """Lists two parts of characters first, which look alike; the sampled token has the value of one of them."""

    def answer(_: Fields, told: Fields) -> Fields:
        for position in entries(told):
            for entry in position["top_logprobs"][:2]:
                entry.update(token="", bytes=[])
            if len(position["top_logprobs"]) > 1:
                value = position["top_logprobs"][own]["logprob"] if own < 2 else -9.5
                position.update(token="", bytes=[], logprob=value)
        return told

    return answer


@pytest.mark.parametrize(
    ("own", "verdict"), [(0, Verdict.CONFORMS), (1, Verdict.CONFORMS), (2, Verdict.DEVIATES)]
)
def test_of_entries_that_look_alike_any_may_be_the_sampled_one(own: int, verdict: Verdict):
    name = "reported.chosen-is-listed"
    assert verify(lettered(answer=alike(own)), checks=[name]).checks[name].verdict is verdict


def test_ids_in_entries_are_known_without_asking():
    def answer(_: Fields, told: Fields) -> Fields:
        for position in entries(told):
            for entry in position["top_logprobs"]:
                entry["id"] = 32 + ord(entry["token"]) - 65
        return told

    profile = EndpointProfile(lettered(answer=answer).client)
    assert profile.known_ids() == {text: 32 + ord(text) - 65 for text in profile.listed()}
    assert profile.texts().items() <= profile.known_ids().items()


def test_a_tokenizer_of_the_endpoints_own_is_asked():
    """llama.cpp reads `content`, vLLM `prompt`; both answer with `tokens`."""
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.path)
        return httpx2.Response(200, json={"tokens": [7]})

    assert tokenized(answering(answer).client, "A") == [7]
    assert asked == ["/tokenize"]
    assert tokenized(answering(lambda _: httpx2.Response(404, text="no")).client, "A") == []


def test_whole_prompts_are_compared_where_an_engine_tells_them(toy: LanguageModel):
    """vLLM: by position a dictionary by id, the prompt's own token first, and null for the first position."""

    def answer(asked: Fields, told: Fields) -> Fields:
        del asked
        return {**told, "prompt_logprobs": [None, {"5": {"logprob": -1.5}, "6": {"logprob": -0.5}}]}

    target = in_process(
        toy, ask=lambda a: {k: v for k, v in a.items() if k != "prompt_logprobs"}, answer=answer
    )
    assert whole_prompt(target.client, ({"role": "user", "content": "A"},), [4, 5]) == [(5, -1.5)]
    report = verify(target, reference=toy, checks=["bias.force"])
    assert any("another tokenisation: 2 tokens of a prompt" in note for note in report.notes)


def test_sglangs_own_route_tells_a_prompt_too():
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/generate":
            told = {"input_token_logprobs": [[None, 4, None], [-1.5, 5, None]]}
            return httpx2.Response(200, json={"text": "", "meta_info": told})
        return httpx2.Response(400, json={"error": {"message": "prompt_logprobs"}})

    assert whole_prompt(answering(answer).client, (), [4, 5]) == [(5, -1.5)]
