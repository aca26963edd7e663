"""Where the logits are from that a trace is replayed with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from sampling.chat.loaded_model import LoadedModel
from sampling.conformance.trace.record import Record
from sampling.core.errors import InvalidArgument
from sampling.scoring.kept import Kept

LogitsOf = Callable[[Record, int], Tensor]
OF_MODEL = 1e-4  # how far the logits of two programs may be apart that run one model in float32


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


class TensorFile:
    """The tensors beside a trace, in a file of safetensors, under the names that records have.

    Args:
        path: The file.
        flag: What named it, for the message.

    Raises:
        InvalidArgument: It cannot be read.
    """

    def __init__(self, path: Path, flag: str = "logits") -> None:
        try:
            self._file = safe_open(path, "pt")
        except (OSError, SafetensorError) as error:
            words = f"a file of safetensors that can be read ({error})"
            raise InvalidArgument(flag, str(path), words) from error
        self._path, self._names = path, {*self._file.keys()}

    def logits_of(self, record: Record, number: int) -> Tensor:
        """Return the logits of a record, [T, V].

        Raises:
            InvalidArgument: There are none, or not a row for each token.
        """
        where = f"trace, record {number}.logits"
        found = self._tensor(record.logits, where)
        if found.dim() != 2 or len(found) != len(record.token_ids):
            words = f"a tensor [{len(record.token_ids)}, V], a row for each token"
            raise InvalidArgument(where, f"a tensor of shape {tuple(found.shape)}", words)
        return found

    def kept_of(self, record: Record, number: int) -> Kept | None:
        """Return the kept sets that a record names or has, as `token_logprobs` takes them; None where it has none.

        Raises:
            InvalidArgument: There are none of that name.
        """
        name, where = record.kept, f"trace, record {number}.kept"
        if not isinstance(name, str):
            return name
        parts = {part: f"{name}.{part}" for part in ("token_ids", "offsets")}
        if {*parts.values()} <= self._names:
            return {part: self._tensor(parts[part], where).tolist() for part in parts}
        return self._tensor(name, where)

    def _tensor(self, name: str | None, where: str) -> Tensor:
        if name not in self._names:
            raise InvalidArgument(where, name, f"the name of a tensor in {self._path.name}")
        return self._file.get_tensor(name)


def logits_of_file(path: Path) -> LogitsOf:
    """Return what reads the logits of a record from a file of safetensors, in which the record names its tensor [T, V].

    Raises:
        InvalidArgument: The file cannot be read.
    """
    return TensorFile(path).logits_of
