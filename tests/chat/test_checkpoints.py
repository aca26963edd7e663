"""Checkpoints as people have them, from the files to an answer."""

from __future__ import annotations

import logging

import pytest
from tokenizers import Tokenizer
from toy_variants import variant

from sampling import CheckpointError, load
from sampling.toy import CHECKPOINT

QUESTION = [{"role": "user", "content": "What is the capital of Turkey?"}]
ANSWER = "The capital of Turkey is Ankara."


def answer(folder):
    response = load(folder).chat(QUESTION, temperature=0, max_tokens=20)
    choice = response["choices"][0]
    return choice["message"]["content"], choice["finish_reason"], response["usage"]


@pytest.mark.parametrize(
    "settings",
    [{"tokenizer_class": "GPT2Tokenizer", "backend": None}, {"clean_up_tokenization_spaces": True}],
    ids=str,
)
def test_settings_that_change_no_id_change_no_text(tmp_path, settings):
    rendered = (
        f"<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{QUESTION[0]['content']}<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    file = Tokenizer.from_file(str(CHECKPOINT / "tokenizer.json"))
    content, _, usage = answer(variant(tmp_path, settings=settings))
    assert content == ANSWER
    assert usage["prompt_tokens"] == len(file.encode(rendered, add_special_tokens=False).ids) == 17


@pytest.mark.parametrize(
    ("generation", "config", "own", "level", "line"),
    [
        (2043, 2043, "<|eot_id|>", logging.WARNING,
         "2043 '<|end_of_text|>' of generation_config.json and config.json; 2047 '<|eot_id|>' of the tokenizer's eos_token"),
        (2043, 2047, None, logging.WARNING,
         "2043 '<|end_of_text|>' of generation_config.json; 2047 '<|eot_id|>' of config.json"),
        ([2047], 2047, "<|eot_id|>", logging.INFO,
         "2047 '<|eot_id|>' of generation_config.json and config.json and the tokenizer's eos_token"),
        ([2043, 2047], 2043, "<|eot_id|>", logging.INFO,
         "2043 '<|end_of_text|>' of generation_config.json and config.json; "
         "2047 '<|eot_id|>' of generation_config.json and the tokenizer's eos_token"),
        (None, 2047, None, logging.INFO, "2047 '<|eot_id|>' of config.json"),
        (None, None, "<|eot_id|>", logging.INFO, "2047 '<|eot_id|>' of the tokenizer's eos_token"),
    ],
)  # fmt: skip
def test_whoever_names_an_end_token_is_heard(tmp_path, caplog, generation, config, own, level, line):
    """The template ends turns with 2047, <|eot_id|>; a line says who names which, and is shown where they differ."""
    folder = variant(
        tmp_path,
        generation={"eos_token_id": generation},
        config={"eos_token_id": config},
        settings={"eos_token": own},
    )
    with caplog.at_level(logging.INFO, "sampling"):
        content, reason, usage = answer(folder)
    assert (content, reason, usage["completion_tokens"]) == (ANSWER, "stop", 8)
    assert [(record.levelno, record.message) for record in caplog.records] == [(level, f"end tokens: {line}")]


def test_no_end_token(tmp_path, caplog):
    nothing = {"eos_token_id": None}
    folder = variant(tmp_path, generation=nothing, config=nothing, settings={"eos_token": None})
    with caplog.at_level(logging.INFO, "sampling"):
        content, reason, _ = answer(folder)
    assert content.startswith(ANSWER)
    assert reason == "length"
    assert "WARNING" in caplog.text
    assert "end tokens: none, so that answers go on to max_tokens" in caplog.text


@pytest.mark.parametrize(
    ("file", "fields"),
    [
        ("settings", {"auto_map": {"AutoTokenizer": ["own.Own", None]}, "tokenizer_class": "Own"}),
        ("settings", {"auto_map": {"AutoTokenizer": [None, "own.Own"]}, "tokenizer_class": "OwnFast"}),
        ("settings", {"auto_map": ["own.Own", None]}),
        ("config", {"auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"}}),
        ("config", {"auto_map": {"AutoTokenizer": ["own.Own", None]}}),
    ],
)
def test_code_of_a_checkpoint_is_never_run(tmp_path, monkeypatch, file, fields):
    """Nor is anybody asked whether it may be."""

    def ask(*_):
        raise AssertionError("somebody was asked")

    mark = tmp_path / "ran"
    code = (
        f"open({str(mark)!r}, 'w').close()\n"
        "from transformers import PreTrainedTokenizerFast\n"
        "class Own(PreTrainedTokenizerFast): pass\n"
    )
    monkeypatch.setattr("builtins.input", ask)
    folder = variant(tmp_path, files={"own.py": code}, **{file: {"backend": None, **fields}})
    with pytest.raises(
        CheckpointError, match=r"config\.json: auto_map: got .*, must be absent: code of a checkpoint"
    ):
        load(folder)
    assert not mark.exists()


def test_a_class_that_only_the_directory_has_is_not_looked_for(tmp_path):
    settings = {"tokenizer_class": "Own", "backend": None}
    folder = variant(tmp_path, files={"own.py": "raise AssertionError"}, settings=settings)
    assert answer(folder)[0] == ANSWER
