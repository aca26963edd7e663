from __future__ import annotations

import json
import random
import re
import shutil
from contextlib import suppress

import pytest
import torch
from safetensors.torch import load_file, save_file
from unwanted_files import POINTER, pipe_at

from sampling.core.errors import CheckpointError, InvalidArgument
from sampling.model import LlamaConfig, load_llama
from sampling.model.checkpoint import tensor_shapes

TEXT = [3, 1, 4, 1, 5, 9, 2, 6]


@pytest.fixture(scope="module")
def saved(new_oracle, tmp_path_factory):
    """One small untied model, in one file."""
    return new_oracle(tmp_path_factory.mktemp("saved"), num_hidden_layers=1)


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of it that a test may spoil."""
    return shutil.copytree(saved.directory, tmp_path / "model")


def stored(folder):
    return load_file(folder / "model.safetensors")


def rewrite(folder, tensors, **fields):
    save_file(tensors, folder / "model.safetensors")
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def shard(folder):
    """The same weights, split as transformers splits them."""
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="20KB")
    return folder / "model.safetensors.index.json"


def refused(folder, message, **options):
    with pytest.raises(CheckpointError, match=message):
        load_llama(folder, **options)


def test_one_file(saved):
    model = load_llama(saved.directory)
    told = saved.model.state_dict()
    ours = {f"model.{name}".replace("model.lm_head", "lm_head"): p for name, p in model.named_parameters()}
    assert ours.keys() == told.keys()
    assert all(torch.equal(ours[name], told[name]) for name in told)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not model.training


def test_shards(saved, folder):
    shard(folder)
    assert len(list(folder.glob("model-*.safetensors"))) > 3
    logits = load_llama(folder)(torch.tensor([TEXT]))[0]
    assert (logits - saved.logits(TEXT)).abs().max() <= 2e-5


def test_one_file_goes_before_shards_as_in_transformers(saved, folder):
    shard(folder)
    shutil.copy(saved.directory / "model.safetensors", folder)
    rewrite(folder, {**stored(folder), "model.norm.weight": torch.full((64,), 3.0)})
    assert load_llama(folder).norm.weight.tolist() == [3.0] * 64
    from transformers import LlamaForCausalLM

    assert LlamaForCausalLM.from_pretrained(folder).model.norm.weight.tolist() == [3.0] * 64


def test_the_weights_do_not_hang_on_the_file(folder):
    model = load_llama(folder)
    before = model(torch.tensor([TEXT]))
    path = folder / "model.safetensors"
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    assert torch.equal(model(torch.tensor([TEXT])), before)


def test_a_path_as_text(saved):
    assert load_llama(str(saved.directory)).config.vocab_size == 97


@pytest.mark.parametrize("kept", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("asked", ["float32", "bfloat16"])
def test_types(folder, kept, asked):
    narrow = {name: tensor.to(getattr(torch, kept)) for name, tensor in stored(folder).items()}
    rewrite(folder, narrow, dtype=kept)
    dtype = getattr(torch, asked)
    model = load_llama(folder, dtype=dtype)
    assert model.config.dtype == dtype
    for name, parameter in model.named_parameters():
        if name != "lm_head.weight":
            assert torch.equal(parameter, narrow[f"model.{name}"].to(dtype))


def test_the_type_of_the_configuration(folder):
    rewrite(folder, stored(folder), dtype="bfloat16")
    assert load_llama(folder).norm.weight.dtype == torch.bfloat16
    rewrite(folder, stored(folder), dtype="float16")
    refused(folder, r"config\.json: dtype is float16, .* ask for dtype torch\.float32 \(exact\)")
    with pytest.raises(
        InvalidArgument, match=r"dtype: got torch\.float16, must be torch\.float32, torch\.bfloat16"
    ):
        load_llama(folder, dtype=torch.float16)


def test_a_device_that_is_not_there(folder):
    for device in ("abacus", "cuda:99", "meta"):
        with pytest.raises(
            InvalidArgument, match=f"device: got '{device}', must be a device that torch can use"
        ):
            load_llama(folder, device=device)


@pytest.mark.parametrize("sharded", [False, True])
def test_progress(folder, sharded):
    total = sum(tensor.nbytes for tensor in stored(folder).values())
    count = len(stored(folder))
    if sharded:
        shard(folder)
    calls = []
    load_llama(folder, dtype=torch.bfloat16, progress=lambda done, whole: calls.append((done, whole)))
    assert len(calls) == count
    assert calls == sorted(set(calls))
    assert calls[-1] == (total, total)


def test_an_error_in_the_progress_report_is_not_the_files(folder):
    def report(*_):
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        load_llama(folder, progress=report)


def test_a_tied_head_may_be_stored(folder):
    tensors = stored(folder)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    rewrite(folder, tensors, tie_word_embeddings=True)
    model = load_llama(folder)
    assert model.lm_head is None
    tensors["lm_head.weight"][5, 5] += 1.0
    rewrite(folder, tensors)
    refused(folder, r"model\.safetensors: tensor lm_head\.weight differs from model\.embed_tokens\.weight")
    rewrite(folder, {**tensors, "lm_head.weight": torch.zeros(96, 64)})
    refused(folder, r"tensor lm_head\.weight has shape \(96, 64\), must be \(97, 64\)")


def test_rotary_buffers_of_old_files_are_left_alone(saved, folder):
    name = "model.layers.0.self_attn.rotary_emb.inv_freq"
    rewrite(folder, {**stored(folder), name: torch.zeros(8)})
    assert (load_llama(folder)(torch.tensor([TEXT]))[0] - saved.logits(TEXT)).abs().max() <= 2e-5


def test_missing_tensor(folder):
    tensors = stored(folder)
    del tensors["model.layers.0.mlp.up_proj.weight"]
    rewrite(folder, tensors)
    refused(
        folder,
        r"model\.safetensors: tensor model\.layers\.0\.mlp\.up_proj\.weight is missing, must have shape \(80, 64\)",
    )


def test_missing_head(folder):
    tensors = stored(folder)
    del tensors["lm_head.weight"]
    rewrite(folder, tensors)
    refused(folder, r"tensor lm_head\.weight is missing, must have shape \(97, 64\)")


@pytest.mark.parametrize(
    "name", ["model.layers.1.mlp.up_proj.weight", "model.layers.0.self_attn.q_proj.bias"]
)
def test_unexpected_tensor(folder, name):
    rewrite(folder, {**stored(folder), name: torch.zeros(80, 64)})
    refused(
        folder, rf"model\.safetensors: tensor {re.escape(name)} of shape \(80, 64\) is not part of the model"
    )


def test_misshapen_tensor(folder):
    rewrite(folder, {**stored(folder), "model.norm.weight": torch.zeros(1, 64)})
    refused(folder, r"model\.safetensors: tensor model\.norm\.weight has shape \(1, 64\), must be \(64,\)")


def test_a_config_that_asks_for_the_impossible_is_compared_first(folder):
    """Petabytes of embedding are not asked for: the stored shape is looked at before any memory is."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 10**12}))
    refused(folder, r"tensor .*weight has shape \(\d+, 64\), must be \(1000000000000, 64\)")


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"num_hidden_layers": 10**18}, r"tensor model\.layers\.1\.\S+ is missing"),
        ({"intermediate_size": 2**62}, rf"mlp\.gate_proj\.weight has shape \(80, 64\), must be \({2**62}, 64\)"),
        ({"head_dim": 2**62}, rf"q_proj\.weight has shape \(64, 64\), must be \({2**64}, 64\)"),
        ({"hidden_size": 2**62, "head_dim": 16}, rf"has shape \(97, 64\), must be \(97, {2**62}\)"),
        ({"num_attention_heads": 2**60, "head_dim": 16}, rf"q_proj\.weight has shape \(64, 64\), must be \({2**64}, 64\)"),
        ({"num_hidden_layers": 2**63}, "num_hidden_layers: got 9223372036854775808, must be at most"),
    ],
)  # fmt: skip
def test_absurd_sizes_are_compared_before_anything_is_built(folder, sizes, message):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **sizes}))

    def build(config):
        raise AssertionError(config)

    refused(folder, message, build=build)


def test_the_shapes_in_the_files_are_the_models(oracle):
    saved = {name: tuple(tensor.shape) for name, tensor in stored(oracle.directory).items()}
    assert dict(tensor_shapes(LlamaConfig.read(oracle.directory))) == saved


def test_a_tensor_of_another_type(folder):
    rewrite(folder, {**stored(folder), "model.norm.weight": torch.zeros(64, dtype=torch.int8)})
    refused(folder, r"tensor model\.norm\.weight is of type I8, must be one of F32, BF16, F16")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "consolidated.00.pth", "model.pt"])
def test_pickles(folder, name):
    (folder / "model.safetensors").rename(folder / name)
    refused(
        folder,
        rf"only pickled weights here \({re.escape(name)}\), .* are not read; convert .*save_pretrained",
    )


def test_no_weights(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    refused(folder, r"neither model\.safetensors nor model\.safetensors\.index\.json is there")
    refused(tmp_path / "nowhere", "nowhere: not a directory")
    refused(folder / "config.json", r"config\.json: not a directory")


def test_a_truncated_file(folder):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    generator = random.Random(0)
    for length in [0, 1, 7, 8, 9, len(whole) - 1, *generator.sample(range(len(whole)), 30)]:
        path.write_bytes(whole[:length])
        refused(folder, r"model\.safetensors: not a whole safetensors file: ")


def test_a_corrupt_header(saved, folder):
    # One wrong byte is refused, unless it stands in the free text or the white space of the header.
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    generator = random.Random(0)
    harmless = 0
    for _ in range(60):
        place = generator.randrange(header)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with suppress(CheckpointError):
            logits = load_llama(folder)(torch.tensor([TEXT]))[0]
            assert (logits - saved.logits(TEXT)).abs().max() <= 2e-5
            harmless += 1
    assert harmless < 10


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "generation_config.json"])
def test_a_pointer_in_place_of_a_file(folder, name):
    """As `git clone` leaves it where Git LFS is not installed."""
    (folder / name).write_text(POINTER)
    refused(folder, rf"{re.escape(name)}: is a Git LFS pointer")


def test_a_pointer_in_place_of_an_index_or_a_shard(folder):
    index = shard(folder)
    first = sorted(folder.glob("model-*.safetensors"))[0]
    first.write_text(POINTER)
    refused(folder, rf"{re.escape(first.name)}: is a Git LFS pointer")
    index.write_text(POINTER)
    refused(folder, r"index\.json: is a Git LFS pointer")


def test_a_pipe_in_place_of_a_shard(folder):
    shard(folder)
    first = sorted(folder.glob("model-*.safetensors"))[0]
    with pipe_at(first):
        refused(folder, rf"{re.escape(first.name)}: must be a file, is a pipe")


def test_a_missing_shard(folder):
    index = shard(folder)
    gone = sorted(folder.glob("model-*.safetensors"))[1]
    gone.unlink()
    refused(index.parent, f"{re.escape(gone.name)}: the file is missing")


def test_a_tensor_that_its_shard_lacks(folder):
    index = shard(folder)
    places = json.loads(index.read_text())["weight_map"]
    name, file = "model.norm.weight", places["model.norm.weight"]
    rest = load_file(folder / file)
    del rest[name]
    save_file(rest, folder / file)
    refused(folder, rf"{re.escape(file)}: tensor model\.norm\.weight is missing, .*index\.json puts it there")


def test_a_tensor_that_the_index_lacks(folder):
    index = shard(folder)
    content = json.loads(index.read_text())
    file = content["weight_map"].pop("model.norm.weight")
    index.write_text(json.dumps(content))
    refused(
        folder, rf"{re.escape(file)}: tensor model\.norm\.weight is not one that .*index\.json puts there"
    )


@pytest.mark.parametrize("place", ["../model.safetensors", "pytorch_model.bin", 3, "/etc/x.safetensors"])
def test_an_index_that_points_elsewhere(folder, place):
    index = shard(folder)
    content = json.loads(index.read_text())
    content["weight_map"]["model.norm.weight"] = place
    index.write_text(json.dumps(content))
    refused(
        folder,
        r"index\.json: weight_map\.model\.norm\.weight: got .*, must be the name of a \.safetensors file beside",
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"index\.json: not a JSON file"),
        ('{"weight_map": {"a": "x.safetensors", "a": "x.safetensors"}}', "got 'a' twice in one object"),
        ('{"weight_map": {"\\ud800": "x.safetensors"}}', "must be text without lone surrogates"),
        ('{"weight_map": {"a": "\\ud800.safetensors"}}', "must be text without lone surrogates"),
        ('{"weight_map": {"a": "\\u0000.safetensors"}}', "the file is missing"),
        ("[]", r"index\.json: must hold a JSON object, not list"),
        ("{}", r"index\.json: weight_map is missing, must be an object"),
        ('{"weight_map": []}', r"index\.json: weight_map: got \[\], must be an object"),
        ('{"weight_map": {}}', r"index\.json: tensor model\.embed_tokens\.weight is missing"),
    ],
)
def test_a_malformed_index(folder, content, message):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(content)
    refused(folder, message)
