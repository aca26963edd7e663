"""A probe's text is token ids, both ways, as transformers and tokenizers read it."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from sampling import InvalidArgument, Probe, write_probe
from sampling.probe.alphabet import alphabet, tokenizer_of


def shuffled(probe: Probe) -> list[int]:
    """All tokens that texts can hold, twice, in no order."""
    return np.random.default_rng(3).permutation([*probe.texts] * 2).tolist()


def test_any_tokens_are_read_back_from_their_text(folder: Path, probe: Probe):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = shuffled(probe)
    text = tokenizer.decode(tokens)
    assert text == probe.text_of(tokens)
    assert tokenizer(text).input_ids == tokens == probe.tokens_of(text)
    (chat,) = tokenizer.apply_chat_template([[{"role": "user", "content": text}]], return_dict=False)
    assert chat == [tokenizer.bos_token_id, *tokens]


def test_states_use_only_tokens_that_texts_can_hold(probe: Probe):
    own = [token for state in probe.states for token in state.tokens]
    assert len(own) == len({*own})
    assert {*own} <= {*probe.texts}
    for place, state in enumerate(probe.states):
        assert (probe.leads_to[[*state.tokens]] == place).all()


def test_no_state_says_what_is_no_text(probe: Probe):
    others = np.setdiff1d(np.arange(probe.vocab), [*probe.texts])
    for row in probe.logits:
        shares = np.exp(row.astype(np.float64) - row.max())
        assert shares[others].sum() < 1e-9 * shares.sum()


@pytest.mark.parametrize("width", [700, 3000])
def test_every_character_stays_as_it_is(width: int):
    """White space at an end is cut off, and some characters are written in another form, by one server or another."""
    found = alphabet(width)
    tokenizer = tokenizer_of(found)
    assert tokenizer.get_vocab_size() <= width
    for token, text in found.texts.items():
        assert (
            text.strip() == text == unicodedata.normalize("NFKC", text) == unicodedata.normalize("NFD", text)
            or "가" <= text <= "힣"
        )
        assert tokenizer.encode(text).ids == [token]


def test_text_that_is_none_of_its_own_ends_with_a_token_that_no_state_says(probe: Probe):
    first, second = [*probe.texts][:2]
    assert probe.tokens_of(probe.text_of([first]) + "a" + probe.text_of([second])) == [first, probe.end]


def trained() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of a text with many letters, some of which join with their neighbours."""
    words = [chr(0x0400 + a) + chr(0x0400 + b) for a in range(0, 80, 3) for b in range(0, 80, 7)]
    letters = [
        chr(code)
        for first, count in ((0x10A0, 30), (0x3041, 80), (0x30A1, 80), (0x4E00, 500))
        for code in range(first, first + count)
    ]
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1900,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([*words * 9, *letters * 5], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>")


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tokenizer")
    trained().save_pretrained(place)
    return place


def test_a_tokenizer_of_the_users_keeps_its_ids(tokenizer_folder: Path, tmp_path: Path):
    probe = write_probe(tmp_path / "probe", tokenizer=tokenizer_folder)
    before, after = (AutoTokenizer.from_pretrained(place) for place in (tokenizer_folder, tmp_path / "probe"))
    assert before.get_vocab() == after.get_vocab()
    assert probe.vocab == 1 + max(before.get_vocab().values())
    assert len(probe.texts) > 300
    tokens = shuffled(probe)
    assert all(before.decode([token]) == text for token, text in probe.texts.items())
    for state in probe.states:  # what is said in one state stands side by side
        said = [token for token in tokens if token in state.tokens]
        assert before(probe.text_of(said)).input_ids == said


def test_a_tokenizer_without_letters_enough_is_refused(tokenizer_folder: Path, tmp_path: Path):
    with pytest.raises(InvalidArgument, match="vocab: got 1000, must be at least "):
        write_probe(tmp_path / "probe", tokenizer=tokenizer_folder, vocab=1000)
    assert not (tmp_path / "probe").exists()
