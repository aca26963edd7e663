"""A checkpoint's token ids are those that the tokenizers library reads from its tokenizer.json, or it is refused."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest
from scripted import encode_chat
from tokenizers import Tokenizer
from toy_variants import variant
from unwanted_files import POINTER, pipe_at

from sampling.core.errors import CheckpointError
from sampling.text import load_tokenizer

TEXTS = (
    "In 2026, 1234567 people paid 3.50 for 10 kg.",
    "  two  spaces,\ttabs\n\n\n  and lines \r\n",
    "Être naïf à Ångström: cafe\u0301, İstanbul",
    "for i in range(10):\n\tprint(f'{i:>3}', x[i] != 0)  # ok",
    "I'd say DON'T, they'll",
    "Merhaba dünya, привет, 你好 🙂",
)
CLASSES = (
    *("GPT2Tokenizer", "GPT2TokenizerFast", "GPTNeoXTokenizerFast", "RobertaTokenizer", "BartTokenizerFast"),
    *("LlamaTokenizer", "LlamaTokenizerFast", "Qwen2Tokenizer", "CodeGenTokenizer", "PreTrainedTokenizerFast"),
    *("PreTrainedTokenizer", "BertTokenizer", "T5Tokenizer", "TokenizersBackend", "OwnTokenizer", "pipeline", "", 7),
)  # fmt: skip
FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
LETTERS = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def digits_apart(file: dict[str, Any]) -> None:
    """As in SmolLM's tokenizer.json: each digit by itself, then the rules of GPT-2; 12 is a token all the same."""
    exchange(file, "12", 2041)
    file["model"]["merges"][-1] = ["1", "2"]
    digits = {"type": "Digits", "individual_digits": True}
    file["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [digits, LETTERS]}


def like_gpt2(file: dict[str, Any]) -> None:
    """The rules of GPT-2, but for offsets, which no ids tell."""
    file["pre_tokenizer"] = {**LETTERS, "trim_offsets": False}


def exchange(file: dict[str, Any], token: str, index: int) -> None:
    """Give another token an id; no merge makes the old one any more."""
    vocabulary = file["model"]["vocab"]
    old = next(old for old, its in vocabulary.items() if its == index)
    file["model"]["merges"][:] = [pair for pair in file["model"]["merges"] if "".join(pair) != old]
    del vocabulary[old]
    vocabulary[token] = index


def a_space_first(file: dict[str, Any]) -> None:
    """As in RoBERTa's."""
    file["pre_tokenizer"] = {**LETTERS, "add_prefix_space": True}


def composed(file: dict[str, Any]) -> None:
    """As in GPT-NeoX's."""
    file["normalizer"] = {"type": "NFC"}


def check(folder) -> None:
    """The ids, with special tokens and without, of texts and of a prompt, are those of the file alone."""
    ours, file = load_tokenizer(folder), Tokenizer.from_file(str(folder / "tokenizer.json"))
    file.no_truncation()
    file.no_padding()
    for text in TEXTS:
        assert ours(text)["input_ids"] == file.encode(text).ids
        assert (
            ours(text, add_special_tokens=False)["input_ids"]
            == file.encode(text, add_special_tokens=False).ids
        )
    messages = [{"role": "user", "content": text.strip()} for text in TEXTS]
    turns = "".join(f"<|start_header_id|>user<|end_header_id|>\n\n{text.strip()}<|eot_id|>" for text in TEXTS)
    rendered = f"<|begin_of_text|>{turns}<|start_header_id|>assistant<|end_header_id|>\n\n"
    assert encode_chat(ours, messages) == file.encode(rendered, add_special_tokens=False).ids


@pytest.mark.parametrize("edit", [None, digits_apart, a_space_first, composed])
def test_the_class_does_not_change_the_ids(tmp_path, edit):
    folder = variant(tmp_path, edit=edit)
    for name in CLASSES:
        check(variant(folder, settings={"tokenizer_class": name, "backend": None}, edit=edit))


@pytest.mark.parametrize(
    "settings",
    [
        {"add_prefix_space": True},
        {"add_bos_token": False},
        {"add_bos_token": True, "add_eos_token": True},
        {"clean_up_tokenization_spaces": True},
        {"fix_mistral_regex": True},
        {"model_max_length": 4, "truncation_side": "left"},
        {"additional_special_tokens": ["<|eot_id|>"]},
        {"added_tokens_decoder": {"2047": {"content": "<|eot_id|>", **FLAGS}}},
        {"trust_remote_code": True, "auto_map": {}},
        {"tokenizer_file": "/nowhere", "vocab_file": "/nowhere"},
    ],
    ids=str,
)
def test_settings_do_not_change_the_ids(tmp_path, settings):
    for name in ("GPT2Tokenizer", "PreTrainedTokenizerFast"):
        check(variant(tmp_path, settings={"tokenizer_class": name, "backend": None, **settings}))


@pytest.mark.parametrize(
    "section",
    [
        {"truncation": {"max_length": 4, "direction": "Right", "strategy": "LongestFirst", "stride": 0}},
        {
            "padding": {
                "strategy": {"Fixed": 500},
                "direction": "Left",
                "pad_to_multiple_of": None,
                "pad_id": 2044,
                "pad_type_id": 0,
                "pad_token": "<|finetune_right_pad_id|>",
            }
        },
        {"post_processor": None},
        {"post_processor": LETTERS},
    ],
    ids=lambda section: next(iter(section)),
)
def test_a_prompt_is_neither_cut_nor_padded(tmp_path, section):
    check(variant(tmp_path, edit=lambda file: file.update(section)))


def test_settings_are_kept(tmp_path):
    template = "{{ bos_token }}{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}"
    settings = {"tokenizer_class": "GPT2Tokenizer", "model_max_length": 77, "chat_template": template}
    folder = variant(tmp_path, settings={**settings, "eos_token": "<|end_of_text|>"})
    (folder / "chat_template.jinja").unlink()
    tokenizer = load_tokenizer(folder)
    assert tokenizer.model_max_length == 77
    ids = encode_chat(tokenizer, [{"role": "user", "content": "2 + 2"}])
    assert ids == Tokenizer.from_file(str(folder / "tokenizer.json")).encode("2 + 2<|end_of_text|>").ids


def test_special_tokens_map(tmp_path):
    """An older file, which transformers reads where tokenizer_config.json has no added_tokens_decoder."""
    content = json.dumps({"eos_token": {"content": "<|end_of_text|>", **FLAGS}, "pad_token": "<|eot_id|>"})
    tokenizer = load_tokenizer(variant(tmp_path, files={"special_tokens_map.json": content}))
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.bos_token_id) == (2043, 2047, 2042)


@pytest.mark.parametrize(
    ("name", "edit", "message"),
    [
        ("GPT2Tokenizer", None, "reads line feeds otherwise than tokenizer.json says"),
        ("GPT2Tokenizer", digits_apart, "reads digits otherwise than tokenizer.json says"),
        ("GPT2Tokenizer", a_space_first, r"reads .* otherwise than tokenizer.json says"),
        ("Qwen2Tokenizer", None, "reads accents otherwise than tokenizer.json says"),
        ("GPT2Tokenizer", like_gpt2, "has another pre_tokenizer than tokenizer.json"),
    ],
)
def test_what_transformers_makes_anew_is_compared(tmp_path, monkeypatch, name, edit, message):
    """A later version may make the tokenizer anew here, too, as `AutoTokenizer` does."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    settings = {"tokenizer_class": name, "backend": None, "unk_token": "<|eot_id|>"}
    folder = variant(tmp_path, settings=settings, edit=edit)
    anew = AutoTokenizer.from_pretrained(folder)
    monkeypatch.setattr(PreTrainedTokenizerFast, "from_pretrained", lambda *_, **__: anew)
    with pytest.raises(CheckpointError, match=f"transformers {message}"):
        load_tokenizer(folder)


def twice(file: dict[str, Any]) -> None:
    exchange(file, "zzz", 2041)
    file["model"]["vocab"]["zzz"] = 7


def far(file: dict[str, Any]) -> None:
    file["model"]["vocab"]["zzz"] = 10**9


def farther(file: dict[str, Any]) -> None:
    file["model"]["vocab"]["zzz"] = 2**63


def renumbered(file: dict[str, Any]) -> None:
    file["added_tokens"][5]["id"] = 2046


def drawn(file: dict[str, Any]) -> None:
    file["model"]["dropout"] = 0.1


def more(file: dict[str, Any]) -> None:
    file["added_tokens"].append({"id": 2048, "content": "[PAD]", **FLAGS})


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (twice, "the id 7 is that of 2 tokens, "),
        (far, "the id of 'zzz' is 1000000000, must be at most 2047"),
        (farther, "cannot be read as a tokenizer"),
        (renumbered, r"added_tokens\[5\]\.id: got 2046, must be 2047, which the tokenizers library gives '<\|eot_id\|>'"),
        (drawn, "model.dropout: got 0.1, must be absent"),
        (more, r"the id of '\[PAD\]' is 2048, must be at most 2047: vocab_size in config.json is 2048"),
    ],
    ids=lambda case: case.__name__ if callable(case) else "",
)  # fmt: skip
def test_ids_that_can_not_be(tmp_path, edit, message):
    folder = variant(tmp_path, edit=edit)
    with pytest.raises(CheckpointError, match=rf"^{re.escape(str(folder))}/tokenizer\.json: {message}"):
        load_tokenizer(folder)


class Panic(BaseException):
    """What the tokenizers library raises where its Rust code panics: no Exception."""


@pytest.mark.parametrize("error", [Panic("no entry found"), ValueError("no entry found")])
def test_whatever_the_library_makes_of_a_file(tmp_path, monkeypatch, error):
    def from_file(_):
        raise error

    monkeypatch.setattr("tokenizers.Tokenizer", SimpleNamespace(from_file=from_file))
    with pytest.raises(
        CheckpointError, match=r"tokenizer\.json: cannot be read as a tokenizer \(.*no entry found"
    ):
        load_tokenizer(variant(tmp_path))


def test_a_model_with_fewer_ids_than_its_tokenizer(tmp_path):
    folder = variant(
        tmp_path, config={"vocab_size": 2047, "eos_token_id": 2043}, generation={"eos_token_id": None}
    )
    with pytest.raises(
        CheckpointError, match=r"tokenizer\.json: the id of '<\|eot_id\|>' is 2047, must be at most 2046"
    ):
        load_tokenizer(folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"auto_map": {"AutoTokenizer": ["own.Own", None]}}, "auto_map: got .*, must be absent: code of a checkpoint"),
        ({"auto_map": ["own.Own", None]}, "auto_map: got .*, must be absent: code of a checkpoint"),
        ({"pad_token": "[PAD]"}, r"pad_token: got '\[PAD\]', must be a token that tokenizer\.json has"),
        ({"additional_special_tokens": ["<x>"]}, "a special token: got '<x>', must be a token that"),
        (
            {"added_tokens_decoder": {"2046": {"content": "<|eot_id|>", **FLAGS}}},
            r"added_tokens_decoder\.2046: got '<\|eot_id\|>', must be under 2047, as in tokenizer\.json",
        ),
        (
            {"added_tokens_decoder": {"2048": {"content": "<new>", **FLAGS}}},
            r"added_tokens_decoder\.2048: got '<new>', must be absent: tokenizer\.json has no such token",
        ),
        ({"added_tokens_decoder": []}, r"added_tokens_decoder: got \[\], must be an object"),
    ],
    ids=str,
)  # fmt: skip
def test_settings_that_can_not_be(tmp_path, settings, message):
    folder = variant(tmp_path, settings={"backend": None, **settings})
    with pytest.raises(
        CheckpointError, match=rf"^{re.escape(str(folder))}/tokenizer_config\.json: {message}"
    ):
        load_tokenizer(folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split_special_tokens": True}, r"reads the added token '<\|begin_of_text\|>' otherwise"),
        (
            {"added_tokens_decoder": {"2047": {"content": "<|eot_id|>", **FLAGS, "lstrip": True}}},
            r"reads the added token '<\|eot_id\|>' otherwise than tokenizer\.json says: .* must be \[",
        ),
        (
            {"added_tokens_decoder": {"738": {"content": "Hi", **FLAGS}}},
            "reads the added token 'Hi' otherwise",
        ),
        ({"eos_token": ["<|eot_id|>"]}, "cannot load the tokenizer"),
        ({"model_max_length": "long"}, "cannot load the tokenizer"),
        ({"post_processor": {}, "tokenizer_object": {"a": 1}}, "cannot load the tokenizer"),
    ],
    ids=str,
)
def test_settings_that_change_the_ids(tmp_path, settings, message):
    folder = variant(tmp_path, settings=settings)
    with pytest.raises(CheckpointError, match=f"^{re.escape(str(folder))}: transformers {message}"):
        load_tokenizer(folder)


NAMES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("chat_template.jinja", "additional_chat_templates/tools.jinja", "config.json"),
)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_the_file_itself(tmp_path, name):
    folder = variant(tmp_path, files={name: POINTER})
    with pytest.raises(CheckpointError, match=rf"{re.escape(name)}: is a Git LFS pointer"):
        load_tokenizer(folder)
    with (
        pipe_at(folder / name),
        pytest.raises(CheckpointError, match=rf"{re.escape(name)}: must be a file, is a pipe"),
    ):
        load_tokenizer(folder)
    (folder / name).unlink()
    (folder / name).symlink_to("blobs/0")
    with pytest.raises(
        CheckpointError, match=rf"{re.escape(name)}: must be a file, is a link to one that is not"
    ):
        load_tokenizer(folder)


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".json")])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"eos_token": 1, "eos_token": 1}', "got 'eos_token' twice in one object"),
        ('{"model": {"vocab": {"a": 0, "a": 1}}}', "got 'a' twice in one object"),
        ('{"\\ud83d": "a"}', "must be text without lone surrogates"),
        ('{"bos_token": "\\ud83d"}', "must be text without lone surrogates"),
        ("[]", "must hold a JSON object"),
        ('{"a": ', "not a JSON file"),
    ],
)
def test_malformed_files(tmp_path, name, content, message):
    folder = variant(tmp_path, files={name: content})
    with pytest.raises(CheckpointError, match=f"{re.escape(name)}: .*{message}"):
        load_tokenizer(folder)


def test_no_tokenizer(tmp_path):
    (variant(tmp_path) / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: the file is missing"):
        load_tokenizer(tmp_path)
