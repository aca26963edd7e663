"""`system_fingerprint` changes when weights, their type, the device's, the library or the dialect change, and only then."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from pages import ASK, letters
from safetensors.torch import load_file, save_file

from sampling import dialect, load
from sampling.chat.language_model import LanguageModel
from sampling.dialects import DIALECTS
from sampling.toy import CHECKPOINT

QSTASH = dialect("qstash")
EVEN = {"A": 0.0, "B": 0.0}


@pytest.fixture(scope="module")
def toy() -> LanguageModel:
    return load(None)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The built-in checkpoint in a directory of its own."""
    return Path(shutil.copytree(CHECKPOINT, tmp_path / "another name"))


def reloaded(folder: Path) -> str:
    return load(folder).fingerprint(QSTASH)


def test_responses_and_chunks_have_it(toy):
    expected = toy.fingerprint(QSTASH)
    assert re.fullmatch(r"fp_[0-9a-f]{16}", expected)
    assert toy.chat(ASK, max_tokens=1)["system_fingerprint"] == expected
    chunks = list(toy.chat(ASK, max_tokens=2, stream=True))
    assert {chunk["system_fingerprint"] for chunk in chunks} == {expected}


# When


@pytest.mark.parametrize("place", [-1, -4, -2_000_003, 0], ids=["top byte", "lowest byte", "middle", "first"])
@pytest.mark.parametrize("bit", [0, 7])
def test_one_bit_of_one_weight_changes_it(toy, copy, place, bit):
    """In the file, counted from its end, or the first byte after the header."""
    file = copy / "model.safetensors"
    raw = bytearray(file.read_bytes())
    begin = 8 + int.from_bytes(raw[:8], "little")
    raw[begin if place == 0 else place] ^= 1 << bit
    file.write_bytes(raw)
    assert reloaded(copy) != toy.fingerprint(QSTASH)


def test_every_weight_counts(copy):
    """One bit of the first number of each tensor: all fingerprints differ."""
    weights, seen = load_file(copy / "model.safetensors"), set[str]()
    for tensor in weights.values():
        flipped(tensor)
        save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
        seen.add(reloaded(copy))
        flipped(tensor)
    assert len(seen) == len(weights) > 40


def flipped(tensor: torch.Tensor) -> None:
    """Change the lowest bit of a tensor's first number."""
    tensor.view(-1).view(torch.int32)[0] ^= 1


def test_weights_that_change_places_change_it(copy, toy):
    """The same numbers in two layers of equal shape."""
    weights = load_file(copy / "model.safetensors")
    first, second = (f"model.layers.{layer}.mlp.up_proj.weight" for layer in (0, 1))
    weights[first], weights[second] = weights[second], weights[first]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    assert reloaded(copy) != toy.fingerprint(QSTASH)


def test_weights_changed_in_place_change_it():
    loaded = load(None)
    before = loaded.chat(ASK, max_tokens=1)["system_fingerprint"]
    with torch.no_grad():
        loaded.model.norm.weight.mul_(1.5)
    assert loaded.chat(ASK, max_tokens=1)["system_fingerprint"] != before


def test_the_type_changes_it(toy):
    """Half precision and back has other weights, too; of the same bits under another type the next test speaks."""
    types = {load(None, dtype=dtype).fingerprint(QSTASH) for dtype in ("float32", "bfloat16")}
    assert len(types) == 2
    assert toy.fingerprint(QSTASH) in types


def run_as(dtype: torch.dtype, device: str) -> str:
    """The fingerprint of a model whose weights say that they are of this type and on this device."""
    loaded = letters(EVEN)
    weight = SimpleNamespace(dtype=dtype, device=torch.device(device))
    loaded.model.embed_tokens = SimpleNamespace(weight=weight)  # type: ignore[assignment]
    return loaded.fingerprint(QSTASH)


def test_the_types_of_weights_and_device_change_it_by_themselves():
    places = [
        (dtype, device)
        for dtype in (torch.float32, torch.bfloat16)
        for device in ("cpu", "cuda", "mps", "meta")
    ]
    assert len({run_as(*place) for place in places}) == len(places)
    assert run_as(torch.float32, "cpu") == letters(EVEN).fingerprint(QSTASH)


def test_which_device_of_its_type_does_not():
    assert run_as(torch.float32, "cuda:0") == run_as(torch.float32, "cuda:1") == run_as(torch.float32, "cuda")


def test_the_librarys_version_changes_it(toy, monkeypatch):
    before = toy.fingerprint(QSTASH)
    monkeypatch.setattr("sampling.chat.loaded_model.__version__", "1000.0.0")
    assert toy.fingerprint(QSTASH) != before
    monkeypatch.undo()
    assert toy.fingerprint(QSTASH) == before


def test_the_dialect_changes_it(toy):
    seen = {toy.chat(ASK, dialect=name, max_tokens=1)["system_fingerprint"] for name in DIALECTS}
    assert len(seen) == len(DIALECTS)


TIED = ("top_k_ties", "top_p_ties")


def other(name: str, value: object) -> object:
    """Another value of a dialect's field."""
    match value:
        case bool():
            return not value
        case float():
            return value + 0.5
        case ():
            named = {
                "fields": ("user",),
                "generation_defaults": ("top_p",),
                "substitutes": (("top_p", 0.0, 1.0),),
            }
            return named.get(name, (("temperature", 1.0),))
        case tuple():
            return value[:-1]
        case None | int():
            return 5
        case str():
            named = {"frequency_form": "repetition", "seen": "run"} | dict.fromkeys(TIED, "all")
            return named.get(name, "temperature")
    return dialect("llama.cpp").penalty_scope


def test_every_field_of_a_dialect_counts_under_the_same_name(toy):
    changed = [
        replace(QSTASH, **{field.name: other(field.name, getattr(QSTASH, field.name))})
        for field in fields(QSTASH)
    ]
    seen = {toy.chat(ASK, dialect=each, max_tokens=1)["system_fingerprint"] for each in changed}
    assert len(seen) == len(changed)
    assert toy.fingerprint(QSTASH) not in seen


# Only when


def test_an_equal_dialect_does_not(toy):
    assert toy.fingerprint(replace(QSTASH)) == toy.fingerprint("qstash") == toy.fingerprint(QSTASH)
    list(QSTASH.stages)  # a property that is kept once it was asked for
    assert toy.fingerprint(QSTASH) == toy.fingerprint(replace(QSTASH))


def test_requests_and_their_number_do_not(toy):
    requests = [
        {"seed": 1, "n": 3, "temperature": 0.3, "top_p": 0.5},
        {"stop": ["a"], "logprobs": True, "top_logprobs": 5, "model": "another"},
        {"logit_bias": {"3": -100}, "presence_penalty": 1, "frequency_penalty": 1},
        *[{"seed": 1}] * 5,
    ]
    seen = {toy.chat(ASK, max_tokens=2, **request)["system_fingerprint"] for request in requests}
    assert seen == {toy.fingerprint(QSTASH)}


def test_the_directorys_name_and_a_reload_do_not(toy, copy):
    loaded = load(copy)
    assert loaded.name == "another name"
    assert loaded.fingerprint(QSTASH) == reloaded(copy) == toy.fingerprint(QSTASH)
    assert load(None, dtype="float32").fingerprint(QSTASH) == toy.fingerprint(QSTASH)


def test_how_the_checkpoint_is_written_does_not(toy, copy):
    """Two files with an index in place of one, and config.json in its older form."""
    weights = load_file(copy / "model.safetensors")
    index = {name: f"part-{number % 2}.safetensors" for number, name in enumerate(reversed(weights))}
    for file in set(index.values()):
        part = {name: weights[name] for name in weights if index[name] == file}
        save_file(part, copy / file, metadata={"format": "pt"})
    (copy / "model.safetensors").unlink()
    (copy / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    config = json.loads((copy / "config.json").read_text())
    config |= {"torch_dtype": config.pop("dtype"), "rope_theta": config.pop("rope_parameters")["rope_theta"]}
    (copy / "config.json").write_text(json.dumps(config))
    assert reloaded(copy) == toy.fingerprint(QSTASH)


def test_another_process_does_not(toy):
    """Nor does the seed of Python's hashes, which sets and their order depend on."""
    program = "from sampling import load; print(load(None).fingerprint('vllm'))"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    run = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == toy.fingerprint("vllm")
