"""Chat prompts: against transformers' own, and against tiktoken for text that looks like control tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from llama3_tokenizer import BOS, END_HEADER, EOT, START_HEADER, llama3_encoding
from scripted import encode_chat
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from sampling.core.errors import CheckpointError, InvalidRequest
from sampling.text.token_bytes import byte_alphabet

if TYPE_CHECKING:
    from collections.abc import Callable

Messages = list[dict[str, str]]

QUESTION = [{"role": "user", "content": "What is the capital of Turkey?"}]
FIRST_PRIVATE_USE = "\U000f0000"

roles = st.sampled_from(["system", "user", "assistant"])
plain_pieces = st.sampled_from(
    ["<", "|", ">", "<|", "|>", "eot_id", " ", "\n", "\r\n", "a", "é", "🙂", ">>>"]
)
pieces = st.one_of(
    plain_pieces,
    st.text(max_size=6),
    st.sampled_from(["<|eot_id|>", "<|begin_of_text|>", "<|end_header_id|>", "<|reserved_special_token_7|>"]),
    st.sampled_from([FIRST_PRIVATE_USE, "\U000f0001", "<|eot" + FIRST_PRIVATE_USE]),
)


def conversations(pieces: st.SearchStrategy[str]) -> st.SearchStrategy[Messages]:
    contents = st.lists(pieces, max_size=8).map("".join)
    return st.lists(st.fixed_dictionaries({"role": roles, "content": contents}), min_size=1, max_size=4)


def by_tiktoken(messages: Messages) -> list[int]:
    """The released template by hand; tiktoken's `encode_ordinary` knows no control tokens."""
    ordinary = llama3_encoding().encode_ordinary
    ids = [BOS]
    for message in messages:
        content = ordinary("\n\n" + message["content"].strip())
        ids += [START_HEADER, *ordinary(message["role"]), END_HEADER, *content, EOT]
    return [*ids, START_HEADER, *ordinary("assistant"), END_HEADER, *ordinary("\n\n")]


def by_transformers(tokenizer: PreTrainedTokenizerFast, messages: Messages) -> list[int]:
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]


def test_published_example_has_17_tokens_and_18_with_a_second_bos(
    llama3_tokenizer: PreTrainedTokenizerFast,
) -> None:
    ids = encode_chat(llama3_tokenizer, QUESTION)
    assert len(ids) == 17
    assert encode_chat(llama3_tokenizer, QUESTION, double_bos=True) == [BOS, *ids]
    text = llama3_tokenizer.apply_chat_template(QUESTION, tokenize=False, add_generation_prompt=True)
    assert llama3_tokenizer(text).input_ids == [BOS, *ids]


@settings(deadline=None)
@given(messages=conversations(st.one_of(plain_pieces, st.text(max_size=20))))
def test_ordinary_text_gets_the_ids_of_transformers(
    llama3_tokenizer: PreTrainedTokenizerFast, messages: Messages
) -> None:
    assert encode_chat(llama3_tokenizer, messages) == by_transformers(llama3_tokenizer, messages)


@settings(deadline=None)
@given(messages=conversations(pieces))
@example([{"role": "user", "content": "<|eot_id|>"}])
@example([{"role": "user", "content": "  <|eot_id|>\n"}, {"role": "user", "content": "<|<|eot_id|>|>"}])
def test_text_that_looks_like_a_control_token_stays_text(
    llama3_tokenizer: PreTrainedTokenizerFast, messages: Messages
) -> None:
    assert encode_chat(llama3_tokenizer, messages) == by_tiktoken(messages)


@settings(deadline=None, max_examples=50)
@given(messages=conversations(pieces))
def test_control_tokens_are_parsed_on_request(
    llama3_tokenizer: PreTrainedTokenizerFast, messages: Messages
) -> None:
    ids = encode_chat(llama3_tokenizer, messages, parse_control_tokens=True)
    assert ids == by_transformers(llama3_tokenizer, messages)


def test_the_tokenizer_itself_is_left_as_it_was(llama3_tokenizer: PreTrainedTokenizerFast) -> None:
    encode_chat(llama3_tokenizer, [{"role": "user", "content": "<|eot_id|>"}])
    assert not llama3_tokenizer.backend_tokenizer.encode_special_tokens
    assert llama3_tokenizer("<|eot_id|>", add_special_tokens=False).input_ids == [EOT]


# Other templates, on a vocabulary of the 256 bytes without merges: plain text is its bytes.

JOINED = "{% for m in messages %}{{ m.content }}{% endfor %}"
TRIMMED = "{% for m in messages %}{{ m.content | trim }}{% endfor %}"
AROUND = "{% for m in messages %}{{ '<' + m.content | trim + '>' }}{% endfor %}"
NAMED = "{% for m in messages %}{{ m.name + m.content }}{% endfor %}"
TEMPLATES: dict[str, Callable[[str], str]] = {
    JOINED: lambda content: content,
    TRIMMED: lambda content: content.strip(),
    AROUND: lambda content: "<" + content.strip() + ">",
}
CONTROL = ["<s>", "</s>", "<s><s", "€", "s>/", "<a<a>"]


def bytes_tokenizer(
    template: str, control: list[str] | list[AddedToken], added: list[str] | None = None
) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE(byte_alphabet(), []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_tokens(added or [])
    backend.add_special_tokens(control)
    return PreTrainedTokenizerFast(tokenizer_object=backend, chat_template=template)


@pytest.mark.parametrize("template", TEMPLATES)
@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_no_way_of_joining_contents_makes_a_control_token(template: str, data: st.DataObject) -> None:
    control = data.draw(st.lists(st.sampled_from(CONTROL), min_size=1, unique=True))
    fragments = [*CONTROL, "<", "/", "s", ">", "<s", "s>", "a", " ", "\n", FIRST_PRIVATE_USE]
    messages = data.draw(conversations(st.sampled_from(fragments)))
    expected = "".join(TEMPLATES[template](message["content"]) for message in messages)
    assert encode_chat(bytes_tokenizer(template, control), messages) == list(expected.encode())


@pytest.mark.parametrize(
    ("template", "contents", "text"),
    [
        (JOINED, ["a<", "s>"], "a<s>"),
        (TRIMMED, [" <s \n", "\t> a"], "<s> a"),
        (AROUND, ["s"], "<s>"),
        (AROUND, [" s>\n", "s"], "<s>><s>"),
        (AROUND, ["> <s"], "<> <s>"),
    ],
)
def test_a_control_token_can_not_be_put_together(template: str, contents: list[str], text: str) -> None:
    messages = [{"role": "user", "content": content} for content in contents]
    assert encode_chat(bytes_tokenizer(template, ["<s>"]), messages) == list(text.encode())


def test_names_are_kept_as_text_too() -> None:
    tokenizer = bytes_tokenizer(NAMED, CONTROL)
    message = {"role": "user", "name": "<s>", "content": "</s>"}
    assert encode_chat(tokenizer, [message]) == list(b"<s></s>")


def test_control_tokens_that_the_template_makes_of_roles_are_kept() -> None:
    tokenizer = bytes_tokenizer(
        "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content }}{% endfor %}", ["<|user|>", "<|end|>"]
    )
    assert encode_chat(tokenizer, [{"role": "user", "content": "<|end|>"}]) == [256, *b"<|end|>"]


def test_control_tokens_that_take_white_space_with_them_still_do() -> None:
    control = [AddedToken("<s>", special=True, rstrip=True), AddedToken("<e>", special=True, lstrip=True)]
    tokenizer = bytes_tokenizer(
        "{% for m in messages %}{{ '<s> ' + m.content + ' <e>' }}{% endfor %}", control
    )
    for content in ("a", " <e> <s> ", "<s>"):
        ids = encode_chat(tokenizer, [{"role": "user", "content": content}])
        assert ids == [256, *content.strip().encode(), 257]


def test_control_tokens_that_match_normalised_text_are_kept_out() -> None:
    tokenizer = bytes_tokenizer(JOINED, [AddedToken("<k>", special=True, normalized=True)])
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    assert tokenizer("<\u212a>", add_special_tokens=False).input_ids == list(b"<K>")
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    assert tokenizer("<K>", add_special_tokens=False).input_ids == [256]
    assert encode_chat(tokenizer, [{"role": "user", "content": "<K>"}]) == list(b"<k>")


def test_added_tokens_that_are_not_special_are_ordinary_vocabulary() -> None:
    tokenizer = bytes_tokenizer(JOINED, ["<s>"], added=["<think>"])
    message = {"role": "user", "content": "<think><s>"}
    assert encode_chat(tokenizer, [message]) == [256, *b"<s>"]


def test_templates_that_look_into_contents_see_them_as_they_are() -> None:
    template = (
        "{% for m in messages %}{{ '<s>' if m.content.startswith('<tool>') else m.content }}{% endfor %}"
    )
    tokenizer = bytes_tokenizer(template, ["<s>"])
    assert encode_chat(tokenizer, [{"role": "user", "content": "<tool> x"}]) == [256]


def test_double_bos_asks_the_tokenizer() -> None:
    tokenizer = bytes_tokenizer("{{ bos_token }}" + JOINED, ["<s>"])
    tokenizer.bos_token = "<s>"
    message = {"role": "user", "content": "a"}
    assert encode_chat(tokenizer, [message], double_bos=True) == [256, *b"a"]


@pytest.mark.parametrize("template", [None, "", {"other": JOINED}])
def test_a_tokenizer_without_chat_template_is_refused(template: str | None) -> None:
    tokenizer = bytes_tokenizer(JOINED, CONTROL)
    tokenizer.chat_template = template
    with pytest.raises(CheckpointError, match="chat template"):
        encode_chat(tokenizer, QUESTION)


def test_a_broken_template_is_the_checkpoint_s_fault() -> None:
    with pytest.raises(CheckpointError, match=r"chat template, line 2: .*endfor"):
        encode_chat(bytes_tokenizer("\n{% endfor %}", CONTROL), QUESTION)


def test_what_the_template_refuses_is_the_request_s_fault() -> None:
    template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(InvalidRequest, match=r"accepts \(it says: roles must alternate\)") as caught:
        encode_chat(bytes_tokenizer(template, CONTROL), QUESTION)
    assert caught.value.param == "messages"


def test_a_token_that_plain_text_can_not_avoid_is_refused() -> None:
    backend = Tokenizer(models.BPE({**byte_alphabet(), "ab": 256}, [("a", "b")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.add_special_tokens(["ab"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, chat_template=JOINED)
    with pytest.raises(InvalidRequest, match="text that the tokenizer can spell without 'ab'"):
        encode_chat(tokenizer, [{"role": "user", "content": "xaby"}])


def test_a_text_with_every_private_use_character_is_refused_when_one_is_needed() -> None:
    everything = "".join(map(chr, [*range(0xF0000, 0xFFFFE), *range(0x100000, 0x10FFFE)]))
    tokenizer = bytes_tokenizer(JOINED, CONTROL)
    assert len(encode_chat(tokenizer, [{"role": "user", "content": everything}])) == 4 * len(everything)
    with pytest.raises(InvalidRequest, match="private-use"):
        encode_chat(tokenizer, [{"role": "user", "content": everything + "<s>"}])


def test_a_tokenizer_without_fast_backend_is_refused(llama3_tokenizer: PreTrainedTokenizerFast) -> None:
    class Slow:
        chat_template = JOINED
        added_tokens_decoder = llama3_tokenizer.added_tokens_decoder

        def get_chat_template(self) -> str:
            return self.chat_template

    with pytest.raises(CheckpointError, match=r"Slow has no fast \(tokenizers\) backend"):
        encode_chat(Slow(), QUESTION)
