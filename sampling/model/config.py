"""The shape of a Llama-3 model, as a Hugging Face directory states it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import cast

import torch

from sampling.core.errors import CheckpointError, InvalidArgument, shown
from sampling.model.files import is_there
from sampling.model.json_object import MISSING, JsonObject, refuse_code

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

# What the forward pass cannot do otherwise: field of config.json, the only value it may have if it is there.
_FIXED: Mapping[str, object] = {
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "pretraining_tp": 1,
    "partial_rotary_factor": 1,
}

_SIZES = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
)

# Where these are 1, they change nothing.
_FACTORS = ("factor", "attention_factor", "partial_rotary_factor")
_LLAMA3_FIELDS = ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")


@dataclass(frozen=True, kw_only=True)
class Llama3Scaling:
    """How Llama-3.1 stretches its rotary embedding past the context it was first trained on.

    Args:
        factor: What the slow frequencies are divided by.
        low_freq_factor: A frequency that turns less often than this in the original context is slow.
        high_freq_factor: A frequency that turns more often than this is kept; in between they are mixed.
        original_max_position_embeddings: The original context, in positions.
    """

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_position_embeddings: int

    def __post_init__(self) -> None:
        if not self.high_freq_factor > self.low_freq_factor:
            allowed = f"above low_freq_factor, which is {self.low_freq_factor}"
            raise InvalidArgument("high_freq_factor", self.high_freq_factor, allowed)


@dataclass(frozen=True, kw_only=True)
class LlamaConfig:
    """The shape of a Llama-3 model; the names are those of config.json.

    Args:
        vocab_size: V, width of the logits.
        hidden_size: Width of the residual stream.
        intermediate_size: Width inside the feed-forward layers.
        num_hidden_layers: Number of blocks.
        num_attention_heads: Query heads of a block.
        num_key_value_heads: Key/value heads of a block; each serves an equal number of query heads.
        head_dim: Width of a head, even; not always hidden_size / num_attention_heads.
        rms_norm_eps: Added to the mean square before its root is taken.
        rope_theta: Base of the rotary embedding's wavelengths.
        rope_scaling: The Llama-3.1 scaling of these wavelengths; None for none.
        max_position_embeddings: The context, in positions.
        tie_word_embeddings: Whether the head's weights are the embedding's.
        dtype: The type that the weights were saved in.
        eos_token_ids: Tokens that end a text.

    Raises:
        InvalidArgument: A size is below 1, or the sizes do not fit each other.

    Example:
        >>> config = LlamaConfig(
        ...     vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        ...     num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=128,
        ... )
        >>> config.query_groups
        2
    """

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    max_position_embeddings: int
    rms_norm_eps: float = 1e-5
    rope_theta: float = 500000.0
    rope_scaling: Llama3Scaling | None = None
    tie_word_embeddings: bool = False
    dtype: torch.dtype = torch.float32
    eos_token_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in _SIZES:
            if getattr(self, name) < 1:
                raise InvalidArgument(name, getattr(self, name), "at least 1")
        if self.num_attention_heads % self.num_key_value_heads:
            allowed = f"a divisor of num_attention_heads, which is {self.num_attention_heads}"
            raise InvalidArgument("num_key_value_heads", self.num_key_value_heads, allowed)
        if self.head_dim % 2:
            raise InvalidArgument("head_dim", self.head_dim, "even: the rotary embedding turns pairs")
        if not all(0 <= token < self.vocab_size for token in self.eos_token_ids):
            raise InvalidArgument(
                "eos_token_id", list(self.eos_token_ids), f"ids from 0 to {self.vocab_size - 1}"
            )

    @property
    def query_groups(self) -> int:
        """Query heads that share one key/value head."""
        return self.num_attention_heads // self.num_key_value_heads

    @classmethod
    def read(cls, directory: str | Path) -> LlamaConfig:
        """Read config.json, and the end tokens of generation_config.json: what either file names ends a text.

        Both forms are read: `rope_theta`, `rope_scaling` and `torch_dtype` of transformers 4, and
        `rope_parameters` and `dtype` of transformers 5; where a file has both, they must agree. A field that
        would change the forward pass in a way that is not supported is refused, never skipped.

        Args:
            directory: A model directory in Hugging Face's format.

        Returns:
            The configuration.

        Raises:
            CheckpointError: A file is missing or malformed, the model is not a Llama, or a field is missing
                or has a value that is not allowed; the message names the file, the field, the value and what
                is allowed.
        """
        if not Path(directory).is_dir():
            raise CheckpointError(f"{directory}: not a directory")
        file = JsonObject.read(Path(directory) / "config.json")
        _refuse_other_models(file)
        try:
            return _from_file(cls, file)
        except InvalidArgument as error:
            raise CheckpointError(f"{file.path}: {error}") from error


def _from_file(make: type[LlamaConfig], file: JsonObject) -> LlamaConfig:
    heads = file.integer("num_attention_heads")
    theta, scaling = _rotary(file)
    return make(
        vocab_size=file.integer("vocab_size"),
        hidden_size=file.integer("hidden_size"),
        intermediate_size=file.integer("intermediate_size"),
        num_hidden_layers=file.integer("num_hidden_layers"),
        num_attention_heads=heads,
        num_key_value_heads=file.integer("num_key_value_heads", heads),
        head_dim=_head_dim(file, heads),
        rms_norm_eps=file.number("rms_norm_eps"),
        rope_theta=theta,
        rope_scaling=scaling,
        max_position_embeddings=file.integer("max_position_embeddings"),
        tie_word_embeddings=file.flag("tie_word_embeddings", False),
        dtype=_dtype(file),
        eos_token_ids=tuple(dict.fromkeys(chain(*named_end_tokens(file.path.parent).values()))),
    )


def _refuse_other_models(file: JsonObject) -> None:
    refuse_code(file)
    if file.need("model_type", MISSING, "'llama'") != "llama":
        raise file.error("model_type", file.get("model_type"), "'llama'")
    if file.get("architectures", ["LlamaForCausalLM"]) != ["LlamaForCausalLM"]:
        raise file.error("architectures", file.get("architectures"), "['LlamaForCausalLM']")
    if file.get("quantization_config") is not None:
        raise file.error(
            "quantization_config", file.get("quantization_config"), "absent: weights as they are"
        )
    for key, allowed in _FIXED.items():
        if file.get(key, allowed) != allowed:
            raise file.error(key, file.get(key), repr(allowed))


def _head_dim(file: JsonObject, heads: int) -> int:
    hidden = file.integer("hidden_size")
    if file.get("head_dim") is None and hidden % heads:
        raise file.error(
            "hidden_size", hidden, f"a multiple of num_attention_heads, {heads}, without head_dim"
        )
    return file.integer("head_dim", hidden // heads)


def _dtype(file: JsonObject) -> torch.dtype:
    key = "torch_dtype" if file.get("dtype") is None else "dtype"
    name = file.get(key, "float32")
    if not isinstance(name, str) or name not in DTYPES:
        raise file.error(key, name, "one of " + ", ".join(DTYPES))
    return DTYPES[name]


def _rotary(file: JsonObject) -> tuple[float, Llama3Scaling | None]:
    forms = [file.section(key) for key in ("rope_parameters", "rope_scaling") if file.get(key) is not None]
    scalings = [_scaling(form) for form in forms]
    if len(set(scalings)) > 1:
        allowed = f"the same as rope_parameters, which is {shown(file.get('rope_parameters'))}"
        raise file.error("rope_scaling", file.get("rope_scaling"), allowed)
    return _theta([*forms, file]), scalings[0] if scalings else None


def _scaling(rope: JsonObject) -> Llama3Scaling | None:
    kind = _rope_type(rope)
    read = {"default": ("original_max_position_embeddings",), "llama3": _LLAMA3_FIELDS}[kind]
    for key in sorted(rope.members.keys() - {"rope_type", "type", "rope_theta", *read}):
        value = rope.get(key)
        if value is not None and not (key in _FACTORS and type(value) in (int, float) and value == 1):
            allowed = " or 1" if key in _FACTORS else ""
            raise rope.error(key, value, f"absent{allowed} for rope_type {kind!r}")
    if kind == "default":
        return None
    return Llama3Scaling(
        factor=rope.number("factor"),
        low_freq_factor=rope.number("low_freq_factor"),
        high_freq_factor=rope.number("high_freq_factor"),
        original_max_position_embeddings=rope.integer("original_max_position_embeddings"),
    )


def _rope_type(rope: JsonObject) -> str:
    key = "type" if rope.get("rope_type") is None else "rope_type"
    kind = rope.get(key, "default")
    if kind not in ("default", "llama3"):
        raise rope.error(key, kind, "'default' or 'llama3'")
    if rope.get("type", kind) != kind:
        raise rope.error("type", rope.get("type"), f"the same as rope_type, {kind!r}")
    return kind


def _theta(holders: Sequence[JsonObject]) -> float:
    thetas = [
        (holder, holder.number("rope_theta")) for holder in holders if holder.get("rope_theta") is not None
    ]
    if not thetas:
        return 10000.0  # what files that leave it out mean
    first, theta = thetas[0]
    for holder, other in thetas:
        if other != theta:
            allowed = f"the same as {first.where('rope_theta')}, {theta}"
            raise holder.error("rope_theta", holder.get("rope_theta"), allowed)
    return theta


def named_end_tokens(directory: str | Path) -> dict[str, tuple[int, ...]]:
    """Return the end tokens that the files of a checkpoint name.

    Args:
        directory: A model directory in Hugging Face's format.

    Returns:
        The ids by the name of the file, generation_config.json first; no entry for a file that names none.

    Raises:
        CheckpointError: A file is malformed, or names something that is no id of the vocabulary.
    """
    folder = Path(directory)
    config = JsonObject.read(folder / "config.json")
    files = [config]
    if is_there(folder / "generation_config.json"):
        files.insert(0, JsonObject.read(folder / "generation_config.json"))
    vocab_size = config.integer("vocab_size")
    named = {file.path.name: _end_tokens(file, vocab_size) for file in files}
    return {name: tokens for name, tokens in named.items() if tokens}


def _end_tokens(file: JsonObject, vocab_size: int) -> tuple[int, ...]:
    value = file.get("eos_token_id", [])
    tokens = cast("list[object]", value if isinstance(value, list) else [value])
    if not all(type(token) is int and 0 <= token < vocab_size for token in tokens):
        words = (
            f"an id, or a list of ids, from 0 to {vocab_size - 1}: vocab_size in config.json is {vocab_size}"
        )
        raise file.error("eos_token_id", value, words)
    return tuple(cast("list[int]", tokens))
