"""Reading a Llama's weights from a Hugging Face directory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from math import prod
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sampling.core.device import checked_device
from sampling.core.errors import CheckpointError, InvalidArgument, listed
from sampling.model.config import LlamaConfig
from sampling.model.files import is_there, require
from sampling.model.json_object import JsonObject
from sampling.model.llama import Llama
from sampling.model.memory import allocated

_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")
_BYTES = {"F32": 4, "BF16": 2, "F16": 2}
_HEAD = "lm_head.weight"


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a safetensors file, as the file's header describes it."""

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return prod(self.shape) * _BYTES[self.dtype]


def tensor_name(parameter: str) -> str:
    """Return a parameter's name in Hugging Face's files.

    Args:
        parameter: Its name in `Llama.named_parameters()`.

    Example:
        >>> tensor_name("layers.0.mlp.up_proj.weight")
        'model.layers.0.mlp.up_proj.weight'
        >>> tensor_name("lm_head.weight")
        'lm_head.weight'
    """
    return parameter if parameter == _HEAD else f"model.{parameter}"


def load_llama(
    directory: str | Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    progress: Callable[[int, int], None] | None = None,
    build: Callable[[LlamaConfig], Llama] = Llama,
) -> Llama:
    """Load a Llama from a directory in Hugging Face's format.

    Reads `model.safetensors`, or else the files that `model.safetensors.index.json` lists, one tensor at a
    time into its place. All headers are checked before the first weight is read. Pickles are never opened.

    Args:
        directory: Where config.json and the weights are.
        device: Where the model goes.
        dtype: torch.float32 or torch.bfloat16; None for the type that config.json names. A float16 checkpoint
            must be asked for in one of the two: exact in float32, rounded in bfloat16.
        progress: Called with (bytes read, bytes in all) after each tensor.
        build: Makes the model, without weights; one that is split over processes reads its own part of them.

    Returns:
        The model, ready to run: its parameters need no gradients, and its config has the type it runs in.

    Raises:
        CheckpointError: A file is missing or broken, or a tensor is missing, unexpected, misshapen or of a
            type that is not read; the message names the file, the tensor, and both shapes.
        InvalidArgument: device or dtype is not one that can be used.
    """
    folder = Path(directory)
    config = LlamaConfig.read(folder)
    config = replace(config, dtype=_running_dtype(config, folder, dtype))
    source, stored = _stored_tensors(folder)
    _check(config, source, stored)  # before anything of these sizes is built
    checked_device(device)
    with torch.device("meta"):
        model = build(config)
    model = allocated(model.to(config.dtype), device).requires_grad_(False).eval()
    _fill(model, stored, progress)
    if config.tie_word_embeddings and _HEAD in stored:
        _check_tied_head(model, stored[_HEAD])
    return model


def _running_dtype(config: LlamaConfig, folder: Path, dtype: torch.dtype | None) -> torch.dtype:
    if dtype is None and config.dtype == torch.float16:
        raise CheckpointError(
            f"{folder / 'config.json'}: dtype is float16, in which this model does not run: "
            "ask for dtype torch.float32 (exact) or torch.bfloat16 (rounded)"
        )
    dtype = config.dtype if dtype is None else dtype
    if dtype not in (torch.float32, torch.bfloat16):
        raise InvalidArgument("dtype", dtype, "torch.float32, torch.bfloat16 or None")
    return dtype


def _stored_tensors(folder: Path) -> tuple[Path, dict[str, StoredTensor]]:
    """Return the file that says which tensors there are, and every tensor by name."""
    single, index = folder / _SINGLE, folder / _INDEX
    if is_there(single):
        return single, {tensor.name: tensor for tensor in _header(single)}
    if is_there(index):
        return index, _sharded(index)
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        raise CheckpointError(
            f"{folder}: only pickled weights here ({listed(pickles)}), which can run code when opened and "
            "are not read; convert them where you trust them: "
            "transformers.LlamaForCausalLM.from_pretrained(OLD).save_pretrained(NEW)"
        )
    raise CheckpointError(f"{folder}: neither {_SINGLE} nor {_INDEX} is there")


def _sharded(index: Path) -> dict[str, StoredTensor]:
    places = _weight_map(index)
    stored: dict[str, StoredTensor] = {}
    for file in dict.fromkeys(places.values()):
        for tensor in _header(index.with_name(file)):
            if places.get(tensor.name) != file:
                raise CheckpointError(
                    f"{tensor.path}: tensor {tensor.name} is not one that {index.name} puts there"
                )
            stored[tensor.name] = tensor
    for name in sorted(places.keys() - stored.keys()):
        raise CheckpointError(
            f"{index.with_name(places[name])}: tensor {name} is missing, {index.name} puts it there"
        )
    return stored


def _weight_map(index: Path) -> Mapping[str, str]:
    section = JsonObject.read(index).section("weight_map")
    places: dict[str, str] = {}
    for name, file in section.members.items():
        if not isinstance(file, str) or Path(file).name != file or not file.endswith(".safetensors"):
            raise section.error(name, file, "the name of a .safetensors file beside the index")
        places[name] = file
    return places


@contextmanager
def _opened(path: Path) -> Generator[safe_open]:
    require(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a whole safetensors file: {error}") from error


def _header(path: Path) -> list[StoredTensor]:
    with _opened(path) as file:
        slices = {name: file.get_slice(name) for name in sorted(file.keys())}
        return [
            StoredTensor(path, name, tuple(part.get_shape()), part.get_dtype())
            for name, part in slices.items()
        ]


def tensor_shapes(config: LlamaConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every tensor of a model's files and its shape, one by one: a configuration may claim any number of layers.

    Example:
        >>> config = LlamaConfig(
        ...     vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        ...     num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=128,
        ... )
        >>> next(tensor_shapes(config))
        ('model.embed_tokens.weight', (64, 32))
    """
    hidden, inner = config.hidden_size, config.intermediate_size
    queries, keys = (
        heads * config.head_dim for heads in (config.num_attention_heads, config.num_key_value_heads)
    )
    block = {
        "input_layernorm": (hidden,),
        "self_attn.q_proj": (queries, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries),
        "post_attention_layernorm": (hidden,),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }
    yield "model.embed_tokens.weight", (config.vocab_size, hidden)
    for layer in range(config.num_hidden_layers):
        for name, shape in block.items():
            yield f"model.layers.{layer}.{name}.weight", shape
    yield "model.norm.weight", (hidden,)
    if not config.tie_word_embeddings:
        yield _HEAD, (config.vocab_size, hidden)


def _check(config: LlamaConfig, source: Path, stored: Mapping[str, StoredTensor]) -> None:
    """Every tensor is stored, in its shape, and nothing is left over."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in tensor_shapes(config):
        if name not in stored:
            raise CheckpointError(f"{source}: tensor {name} is missing, must have shape {shape}")
        shapes[name] = shape
        _check_tensor(stored[name], shapes)
    shapes.setdefault(
        _HEAD, (config.vocab_size, config.hidden_size)
    )  # a tied head may be stored all the same
    for tensor in stored.values():
        _check_tensor(tensor, shapes)


def _check_tensor(tensor: StoredTensor, shapes: Mapping[str, tuple[int, ...]]) -> None:
    where = f"{tensor.path}: tensor {tensor.name}"
    if tensor.name not in shapes:
        if tensor.name.endswith(
            "rotary_emb.inv_freq"
        ):  # old files keep them; they follow from the configuration
            return
        raise CheckpointError(
            f"{where} of shape {tensor.shape} is not part of the model that config.json describes"
        )
    if tensor.shape != shapes[tensor.name]:
        raise CheckpointError(f"{where} has shape {tensor.shape}, must be {shapes[tensor.name]}")
    if tensor.dtype not in _BYTES:
        raise CheckpointError(f"{where} is of type {tensor.dtype}, must be one of {', '.join(_BYTES)}")


def _fill(
    model: Llama, stored: Mapping[str, StoredTensor], progress: Callable[[int, int], None] | None
) -> None:
    places = {tensor_name(name): parameter for name, parameter in model.named_parameters()}
    total, done = sum(stored[name].size for name in places), 0
    for tensor, weights in _read(stored[name] for name in places):
        held, part = model.held(places[tensor.name])
        held.copy_(weights[part])
        done += tensor.size
        if progress is not None:
            progress(done, total)


def _read(tensors: Iterable[StoredTensor]) -> Iterator[tuple[StoredTensor, Tensor]]:
    in_order = sorted(tensors, key=lambda tensor: (tensor.path, tensor.name))
    for path, group in groupby(in_order, key=lambda tensor: tensor.path):
        with _opened(path) as file:
            for tensor in group:
                yield tensor, file.get_tensor(tensor.name)


def _check_tied_head(model: Llama, stored: StoredTensor) -> None:
    weights, part = model.held(model.embed_tokens.weight)
    for tensor, head in _read([stored]):
        if not torch.equal(head[part].to(weights), weights):
            raise CheckpointError(
                f"{tensor.path}: tensor {tensor.name} differs from model.embed_tokens.weight, "
                "though config.json says tie_word_embeddings"
            )
