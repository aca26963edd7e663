"""Where the logits are from that a trace is replayed with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from sampling.chat.loaded_model import LoadedModel
from sampling.conformance.trace.record import Record
from sampling.core.errors import InvalidArgument

LogitsOf = Callable[[Record, int], Tensor]


def logits_of_model(loaded: LoadedModel) -> LogitsOf:
    """Return what computes the logits of a record by a model: float32 [T, V]."""

    def logits_of(record: Record, number: int) -> Tensor:
        if not record.prompt_ids:
            where = f"trace, record {number}.prompt_ids"
            raise InvalidArgument(where, record.prompt_ids, "known where a model computes the logits")
        width = loaded.model.config.vocab_size
        ids = [*record.prompt_ids, *record.token_ids]
        if max(ids) >= width:
            raise InvalidArgument(
                f"trace, record {number}", max(ids), f"token ids below {width}, the model's"
            )
        return loaded.logits(ids[:-1])[len(record.prompt_ids) - 1 :]

    return logits_of


def logits_of_file(path: Path) -> LogitsOf:
    """Return what reads the logits of a record from a file of safetensors, in which the record names its tensor [T, V].

    Raises:
        InvalidArgument: The file cannot be read.
    """
    try:
        file = safe_open(path, "pt")
    except (OSError, SafetensorError) as error:
        raise InvalidArgument(
            "logits", str(path), f"a file of safetensors that can be read ({error})"
        ) from error
    names = {*file.keys()}

    def logits_of(record: Record, number: int) -> Tensor:
        where = f"trace, record {number}.logits"
        if record.logits not in names:
            raise InvalidArgument(where, record.logits, f"the name of a tensor in {path.name}")
        found = file.get_tensor(record.logits)
        if found.dim() != 2 or len(found) != len(record.token_ids):
            words = f"a tensor [{len(record.token_ids)}, V], a row for each token"
            raise InvalidArgument(where, f"a tensor of shape {tuple(found.shape)}", words)
        return found

    return logits_of
