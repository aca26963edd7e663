"""The probe checkpoint's logits are the numbers that were chosen, as transformers computes them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.conformance.engines import probe

# The last character chooses the state: a letter, the beginning and the end of the word, braces, half a character.
TEXTS = ("Name a letter.", "What?", "b", "a black", "blacksmith", "{", "{}", "é", "ü.")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A probe checkpoint."""
    return probe.write(tmp_path_factory.mktemp("probe") / "checkpoint", {"temperature": 0.5})


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_logits_are_as_written_bit_for_bit(folder: Path, dtype: torch.dtype):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    for text in TEXTS:
        ids = tokenizer(text, return_tensors="pt").input_ids
        assert ids.shape == (1, len(text.encode()))
        rows = model(ids).logits[0].float()
        assert torch.equal(rows, torch.stack([probe.logits_behind(int(token)) for token in ids[0]]))


def test_logits_behind_a_letter_are_these():
    row = probe.logits_behind(probe.letter("."))
    told = {chr(33 + token): value for token, value in enumerate(row.tolist()) if value > -30 and token < 94}
    falling = dict(
        zip("ABCDEFGHIJ", [2.0, 1.625, 1.25, 0.875, 0.5, 0.125, -0.25, -0.625, -1.0, -1.375], strict=True)
    )
    equal = dict.fromkeys("KLM", -1.75)
    last = dict(zip("NOPQRS", [-2.0, -2.25, -2.5, -2.75, -3.0, -3.25], strict=True))
    assert told == falling | equal | last
    assert torch.equal(row, row.bfloat16().float())


def test_a_question_is_answered_with_a_word_that_ends(folder: Path):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is it?"}], return_tensors="pt", return_dict=False
    )
    assert tokenizer.decode(ids[0]) == "<s>What is it?"
    told = model.generate(ids, do_sample=False, max_new_tokens=40)[0, ids.shape[1] :]
    assert tokenizer.decode(told) == "blacksmith</s>"


def test_defaults_are_beside_the_special_tokens(folder: Path):
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.generation_config.temperature == 0.5
    assert model.generation_config.eos_token_id == 257
