from __future__ import annotations

import json
import re
from typing import Any

import pytest
import torch

from sampling.core.errors import CheckpointError, InvalidArgument, shown
from sampling.model import Llama3Scaling, LlamaConfig
from sampling.model.rotary import rotary_frequencies

# As the released Llama-3.1-8B-Instruct writes it, in the form of transformers 4.
OLD_FORM: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 128000,
    "eos_token_id": [128001, 128008, 128009],
    "hidden_act": "silu",
    "hidden_size": 4096,
    "initializer_range": 0.02,
    "intermediate_size": 14336,
    "max_position_embeddings": 131072,
    "mlp_bias": False,
    "model_type": "llama",
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_scaling": {
        "factor": 8.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.42.3",
    "use_cache": True,
    "vocab_size": 128256,
}

LLAMA31 = LlamaConfig(
    vocab_size=128256,
    hidden_size=4096,
    intermediate_size=14336,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
    head_dim=128,
    max_position_embeddings=131072,
    rms_norm_eps=1e-5,
    rope_theta=500000.0,
    rope_scaling=Llama3Scaling(
        factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192
    ),
    tie_word_embeddings=False,
    dtype=torch.bfloat16,
    eos_token_ids=(128001, 128008, 128009),
)

SCALING = OLD_FORM["rope_scaling"]


def written(directory, generation: object = None, **changes: object):
    """A directory whose config.json is the old form with changes; a field changed to ... is left out."""
    fields = {key: value for key, value in {**OLD_FORM, **changes}.items() if value is not ...}
    (directory / "config.json").write_text(json.dumps(fields))
    if generation is not None:
        (directory / "generation_config.json").write_text(json.dumps(generation))
    return directory


def test_old_form(tmp_path):
    assert LlamaConfig.read(written(tmp_path)) == LLAMA31
    assert LlamaConfig.read(str(tmp_path)) == LLAMA31


def test_old_form_with_type(tmp_path):
    scaling = {("type" if key == "rope_type" else key): value for key, value in SCALING.items()}
    assert LlamaConfig.read(written(tmp_path, rope_scaling=scaling)) == LLAMA31


def test_new_form_by_hand(tmp_path):
    new = {"rope_parameters": {**SCALING, "rope_theta": 500000.0}, "dtype": "bfloat16"}
    written(tmp_path, rope_scaling=..., rope_theta=..., torch_dtype=..., **new)
    assert LlamaConfig.read(tmp_path) == LLAMA31


def test_new_form_as_transformers_writes_it(tmp_path):
    from transformers import LlamaConfig as TheirConfig

    written(tmp_path)
    TheirConfig.from_pretrained(tmp_path).save_pretrained(tmp_path / "new")
    assert "rope_parameters" in json.loads((tmp_path / "new" / "config.json").read_text())
    assert LlamaConfig.read(tmp_path / "new") == LLAMA31


def test_what_old_files_leave_out(tmp_path):
    names = (
        "architectures",
        "num_key_value_heads",
        "rope_theta",
        "rope_scaling",
        "torch_dtype",
        "hidden_act",
    )
    changes = dict.fromkeys(
        (*names, "tie_word_embeddings", "attention_bias", "mlp_bias", "pretraining_tp"), ...
    )
    config = LlamaConfig.read(written(tmp_path, eos_token_id=None, head_dim=None, **changes))
    assert config.num_key_value_heads == 32
    assert config.head_dim == 128
    assert (config.rope_theta, config.rope_scaling) == (10000.0, None)
    assert config.dtype == torch.float32
    assert config.tie_word_embeddings is False
    assert config.eos_token_ids == ()


def test_other_values(tmp_path):
    changes = {"head_dim": 64, "tie_word_embeddings": True, "torch_dtype": "float16", "rope_theta": 10000}
    config = LlamaConfig.read(written(tmp_path, rope_scaling={"rope_type": "default"}, **changes))
    assert (config.head_dim, config.tie_word_embeddings, config.dtype) == (64, True, torch.float16)
    assert (config.rope_theta, config.rope_scaling) == (10000.0, None)


@pytest.mark.parametrize(
    ("generation", "own", "ends"),
    [
        ({"eos_token_id": 7}, 5, (7, 5)),
        ({"eos_token_id": [7, 9]}, [9, 5], (7, 9, 5)),
        ({"eos_token_id": [7, 9]}, None, (7, 9)),
        ({"eos_token_id": None}, 5, (5,)),
        ({"temperature": 0.6}, [5, 6], (5, 6)),
        (None, 5, (5,)),
        (None, ..., ()),
    ],
)
def test_end_tokens(tmp_path, generation, own, ends):
    assert LlamaConfig.read(written(tmp_path, generation, eos_token_id=own)).eos_token_ids == ends


DISAGREEING = f"rope_scaling: got {shown(SCALING)}, must be the same as rope_parameters"
REFUSED: list[tuple[dict[str, object], str]] = [
    ({"model_type": "mistral"}, "model_type: got 'mistral', must be 'llama'"),
    ({"model_type": ...}, "model_type is missing, must be 'llama'"),
    (
        {"architectures": ["LlamaForSequenceClassification"]},
        "architectures: got ['LlamaForSequenceClassification'], must be ['LlamaForCausalLM']",
    ),
    ({"hidden_act": "gelu"}, "hidden_act: got 'gelu', must be 'silu'"),
    ({"attention_bias": True}, "attention_bias: got True, must be False"),
    ({"mlp_bias": True}, "mlp_bias: got True, must be False"),
    ({"pretraining_tp": 2}, "pretraining_tp: got 2, must be 1"),
    ({"partial_rotary_factor": 0.5}, "partial_rotary_factor: got 0.5, must be 1"),
    ({"quantization_config": {"bits": 4}}, "quantization_config: got {'bits': 4}, must be absent"),
    ({"torch_dtype": "int8"}, "torch_dtype: got 'int8', must be one of float32, bfloat16, float16"),
    ({"dtype": 16}, "dtype: got 16, must be one of float32, bfloat16, float16"),
    ({"vocab_size": ...}, "vocab_size is missing, must be an integer of at least 1"),
    ({"hidden_size": ...}, "hidden_size is missing"),
    ({"intermediate_size": ...}, "intermediate_size is missing"),
    ({"num_hidden_layers": ...}, "num_hidden_layers is missing"),
    ({"num_attention_heads": None}, "num_attention_heads is missing"),
    ({"rms_norm_eps": ...}, "rms_norm_eps is missing, must be a finite number above 0"),
    ({"max_position_embeddings": ...}, "max_position_embeddings is missing"),
    ({"hidden_size": "4096"}, "hidden_size: got '4096', must be an integer of at least 1"),
    ({"hidden_size": 4096.0}, "hidden_size: got 4096.0, must be an integer of at least 1"),
    ({"num_hidden_layers": True}, "num_hidden_layers: got True, must be an integer of at least 1"),
    ({"num_attention_heads": 0}, "num_attention_heads: got 0, must be an integer of at least 1"),
    ({"num_key_value_heads": 5}, "num_key_value_heads: got 5, must be a divisor of num_attention_heads"),
    ({"hidden_size": 4100}, "hidden_size: got 4100, must be a multiple of num_attention_heads, 32"),
    ({"head_dim": 127}, "head_dim: got 127, must be even"),
    ({"rms_norm_eps": float("nan")}, "rms_norm_eps: got nan, must be a finite number above 0"),
    ({"rope_theta": -1}, "rope_theta: got -1, must be a finite number above 0"),
    ({"rope_theta": 10**400}, "must be a finite number above 0"),
    ({"tie_word_embeddings": 1}, "tie_word_embeddings: got 1, must be true or false"),
    ({"rope_scaling": "llama3"}, "rope_scaling: got 'llama3', must be an object"),
    (
        {"rope_scaling": {"type": "dynamic", "factor": 2.0}},
        "rope_scaling.type: got 'dynamic', must be 'default' or 'llama3'",
    ),
    (
        {"rope_scaling": ..., "rope_parameters": {"rope_type": "yarn"}},
        "rope_parameters.rope_type: got 'yarn', must be 'default' or 'llama3'",
    ),
    (
        {"rope_scaling": {**SCALING, "type": "yarn"}},
        "rope_scaling.type: got 'yarn', must be the same as rope_type",
    ),
    ({"rope_scaling": {**SCALING, "factor": None}}, "rope_scaling.factor is missing"),
    (
        {"rope_scaling": {**SCALING, "original_max_position_embeddings": 0}},
        "rope_scaling.original_max_position_embeddings: got 0, must be an integer of at least 1",
    ),
    (
        {"rope_scaling": {**SCALING, "high_freq_factor": 1}},
        "high_freq_factor: got 1.0, must be above low_freq_factor, which is 1.0",
    ),
    (
        {"rope_scaling": {**SCALING, "partial_rotary_factor": 0.5}},
        "rope_scaling.partial_rotary_factor: got 0.5, must be absent or 1 for rope_type 'llama3'",
    ),
    (
        {"rope_scaling": {"factor": 8.0}},
        "rope_scaling.factor: got 8.0, must be absent or 1 for rope_type 'default'",
    ),
    (
        {"rope_scaling": {"factor": True}},
        "rope_scaling.factor: got True, must be absent or 1 for rope_type 'default'",
    ),
    (
        {"rope_scaling": {"rope_type": "default", "low_freq_factor": 1.0}},
        "rope_scaling.low_freq_factor: got 1.0, must be absent for rope_type 'default'",
    ),
    (
        {"rope_parameters": {"rope_type": "default"}},
        f"rope_scaling: got {shown(SCALING)}, must be the same as rope_parameters",
    ),
    (
        {"rope_parameters": {**SCALING, "factor": 4.0}},
        f"rope_scaling: got {shown(SCALING)}, must be the same as rope_parameters",
    ),
    (
        {
            "rope_parameters": {**SCALING, "rope_theta": 500000.0},
            "rope_scaling": {**SCALING, "rope_theta": 10000.0},
        },
        "rope_scaling.rope_theta: got 10000.0, must be the same as rope_parameters.rope_theta, 500000.0",
    ),
    (
        {"auto_map": {"AutoConfig": "own.Config"}},
        "auto_map: got {'AutoConfig': 'own.Config'}, must be absent: code",
    ),
    ({"vocab_size": 2**63}, f"vocab_size: got {2**63}, must be at most {2**63 - 1}"),
    ({"max_position_embeddings": 10**40}, "must be at most"),
    (
        {"rope_scaling": ..., "rope_parameters": {"rope_theta": 10000.0}},
        "rope_theta: got 500000.0, must be the same as rope_parameters.rope_theta, 10000.0",
    ),
    ({"eos_token_id": 128256}, "eos_token_id: got 128256, must be an id, or a list of ids, from 0 to 128255"),
    ({"vocab_size": 5}, "from 0 to 4: vocab_size in config.json is 5"),
    ({"eos_token_id": "</s>"}, "eos_token_id: got '</s>', must be an id"),
    ({"eos_token_id": [1, True]}, "eos_token_id: got [1, True], must be an id"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_refused(tmp_path, changes, message):
    path = written(tmp_path, **changes) / "config.json"
    with pytest.raises(CheckpointError, match=f"^{re.escape(str(path))}: .*{re.escape(message)}"):
        LlamaConfig.read(tmp_path)


ROTARY: list[dict[str, Any]] = [
    {"rope_scaling": {"rope_type": "default", "factor": 1.0}},
    {"rope_scaling": {"type": "default", "factor": 1, "attention_factor": 1.0}},
    {
        "rope_parameters": {"rope_type": "default", "rope_theta": 5e5},
        "rope_scaling": {"rope_type": "default", "factor": 1.0},
    },
    {"rope_parameters": {"rope_theta": 500000}, "rope_scaling": {}},
    {"rope_parameters": {**SCALING, "rope_theta": 5e5}},
    {
        "rope_parameters": {**SCALING, "factor": 8, "rope_theta": 5e5},
        "rope_scaling": {**SCALING, "rope_theta": 5e5},
    },
    {"rope_parameters": {**SCALING, "rope_theta": 5e5}, "rope_theta": ...},
    {"rope_scaling": {**SCALING, "partial_rotary_factor": 1.0}},
]


@pytest.mark.parametrize("changes", ROTARY, ids=str)
def test_forms_of_rope_that_agree(tmp_path, changes):
    """The frequencies are those that transformers computes from each form alone."""
    from transformers import LlamaConfig as TheirConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    ours = rotary_frequencies(LlamaConfig.read(written(tmp_path, **changes)))
    for form in {"rope_parameters", "rope_scaling"} & changes.keys():
        alone = {"rope_theta": 5e5, **changes[form]}
        theirs = TheirConfig(
            hidden_size=4096, num_attention_heads=32, max_position_embeddings=131072, rope_parameters=alone
        )
        assert torch.equal(ours, LlamaRotaryEmbedding(theirs).inv_freq)


def test_numbers_that_only_python_writes(tmp_path):
    """Other fields may hold NaN or Infinity, as json.dumps writes them."""
    written(tmp_path, router_jitter=float("inf"), other=float("nan"))
    assert LlamaConfig.read(tmp_path) == LLAMA31


def test_half_characters_in_pairs_are_characters(tmp_path):
    written(tmp_path, note="\U0001f600")
    assert b"\\ud83d" in (tmp_path / "config.json").read_bytes()
    assert LlamaConfig.read(tmp_path) == LLAMA31


def test_a_wrong_end_token_is_told_by_the_file_it_is_in(tmp_path):
    written(tmp_path, {"eos_token_id": -1})
    with pytest.raises(CheckpointError, match=r"generation_config\.json: eos_token_id: got -1"):
        LlamaConfig.read(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"model_type": "llama"', r"not a JSON file: got .*, must be JSON \(Expecting ',' delimiter"),
        (b"", "not a JSON file"),
        (b"\xff\xfe", "not a JSON file: got .*, must be JSON in UTF-8"),
        (b"[" * 100_000, "not a JSON file"),
        (
            b'{"eos_token_id": 1, "eos_token_id": 2}',
            "not a JSON file: got 'eos_token_id' twice in one object",
        ),
        (b'{"of": {"a": 1, "a": 1}}', "not a JSON file: got 'a' twice in one object"),
        (b'{"a": "\\ud83d \\ude00"}', "got .*, must be text without lone surrogates"),
        (b'{"\\ud83d": 1}', "got .*, must be text without lone surrogates"),
        (b'["llama"]', "must hold a JSON object, not list"),
        (None, "the file is missing"),
    ],
    ids=["cut", "empty", "not text", "deep", "twice", "twice inside", "half", "half a key", "list", "none"],
)
@pytest.mark.parametrize("name", ["config.json", "generation_config.json"])
def test_malformed_files(tmp_path, name, content, message):
    written(tmp_path, {})
    (tmp_path / name).unlink()
    if content is None:
        if name == "generation_config.json":
            assert LlamaConfig.read(tmp_path) == LLAMA31
            return
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{re.escape(name)}: {message}"):
        LlamaConfig.read(tmp_path)


def test_a_directory_in_place_of_the_file(tmp_path):
    (tmp_path / "config.json").mkdir()
    with pytest.raises(CheckpointError, match=r"config\.json: must be a file, is a directory"):
        LlamaConfig.read(tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("vocab_size", 0, "vocab_size: got 0, must be at least 1"),
        ("num_key_value_heads", 0, "num_key_value_heads: got 0, must be at least 1"),
        ("num_attention_heads", -8, "num_attention_heads: got -8, must be at least 1"),
        ("num_key_value_heads", 3, "num_key_value_heads: got 3, must be a divisor"),
        ("head_dim", 7, "head_dim: got 7, must be even"),
        ("eos_token_ids", (128256,), "eos_token_id"),
    ],
)
def test_configurations_made_by_hand(field, value, message):
    fields = {**vars(LLAMA31), field: value}
    with pytest.raises(InvalidArgument, match=message):
        LlamaConfig(**fields)
