"""A probe checkpoint as its manifest tells it: which logits stand where, and which text is which token.

The manifest is a folder of its own in the checkpoint's, as engines take every file of tensors beside config.json for weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from sampling.core.errors import InvalidArgument, InvalidRequest
from sampling.core.reading import read_json
from sampling.probe.chain import Chain
from sampling.probe.checkpoint import write_json
from sampling.probe.rows import Logits, Placed, key_of

FOLDER, MANIFEST, ROWS = "probe", "manifest.json", "rows.safetensors"
VERSION = 1


@dataclass(frozen=True)
class State:
    """What a state is.

    Args:
        name: That of its row.
        key: What tells the row's logits from others, before they were placed.
        tokens: Its own tokens, ascending; each of them leads to it. The first is how it is entered.
        whole: Whether they are all tokens of the row, so that the i-th is token i of the row.
    """

    name: str
    key: str
    tokens: tuple[int, ...]
    whole: bool


@dataclass(frozen=True, eq=False)
class Probe:
    """A probe checkpoint.

    Args:
        logits: What each state says, float32 [S, V].
        leads_to: The state that each token leads to, int64 [V].
        states: The states.
        texts: The text of each token that texts can hold.
        end: A token that no state says.
        dtype: The type of the weights.
    """

    logits: Logits
    leads_to: NDArray[np.int64]
    states: tuple[State, ...]
    texts: Mapping[int, str]
    end: int
    dtype: str

    @staticmethod
    def of(rows: Sequence[Placed], texts: Mapping[int, str], vocab: int, end: int, dtype: str) -> Probe:
        """Return the probe whose states say some rows; a token that is nobody's leads to the last."""
        names = [one.row.name for one in rows]
        leads_to = np.full(vocab, len(rows) - 1, dtype=np.int64)
        for place, one in enumerate(rows):
            leads_to[one.tokens] = place
        logits = np.stack([one.logits for one in rows])
        for place, one in enumerate(rows):
            if one.row.behind:  # what it says leads on
                said = rows[names.index(one.row.behind)]
                logits[place, said.tokens] = one.row.logits
                logits[place, one.tokens] = logits[place].min()
        states = tuple(state_of(one) for one in rows)
        return Probe(logits, leads_to, states, texts, end, dtype)

    @property
    def chain(self) -> Chain:
        """The model."""
        return Chain(torch.from_numpy(self.logits), torch.from_numpy(self.leads_to))

    @property
    def vocab(self) -> int:
        """V."""
        return self.logits.shape[1]

    @cached_property
    def by_key(self) -> Mapping[str, int]:
        """The states by what tells their rows from others."""
        return {state.key: place for place, state in enumerate(self.states)}

    @cached_property
    def ids(self) -> Mapping[str, int]:
        """The tokens by their texts."""
        return {text: token for token, text in self.texts.items()}

    def text_of(self, tokens: Sequence[int]) -> str:
        """Return the text of some tokens."""
        return "".join(self.texts[token] for token in tokens)

    def tokens_of(self, text: str) -> list[int]:
        """Return the tokens of a text; from the first character on that is none of the probe's, one that no state says."""
        found: list[int] = []
        for character in text:
            token = self.ids.get(character)
            if token is None:
                return [*found, self.end]
            found.append(token)
        return found

    def save(self, checkpoint: Path) -> None:
        """Write the manifest into a checkpoint's folder."""
        folder = checkpoint / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        told = {
            "probe": VERSION,
            "dtype": self.dtype,
            "end": self.end,
            "tokens": [*self.texts],
            "text": "".join(self.texts.values()),
            "states": [
                {"name": state.name, "key": state.key, "tokens": list(state.tokens), "whole": state.whole}
                for state in self.states
            ],
        }
        write_json(folder / MANIFEST, told)
        save_file({"logits": self.logits, "leads_to": self.leads_to}, folder / ROWS)

    @staticmethod
    def read(checkpoint: str | Path) -> Probe:
        """Read the manifest in a checkpoint's folder.

        Raises:
            InvalidArgument: There is none, or one of another version.
        """
        folder = Path(checkpoint) / FOLDER
        allowed = "a folder that `sampling probe` has written"
        try:
            told: Any = read_json((folder / MANIFEST).read_bytes())
            tensors = load_file(folder / ROWS)
        except (OSError, InvalidRequest, SafetensorError) as error:
            raise InvalidArgument("probe", str(checkpoint), f"{allowed} ({error})") from None
        version = cast("dict[str, Any]", told).get("probe") if isinstance(told, dict) else None
        if version != VERSION:
            words = f"a manifest of version {VERSION}: write the checkpoint anew with `sampling probe`"
            raise InvalidArgument("probe", f"version {version} in {folder / MANIFEST}", words)
        try:
            return probe_of(cast("dict[str, Any]", told), tensors)
        except (KeyError, TypeError, ValueError) as error:
            words = f"{allowed} ({type(error).__name__}: {error})"
            raise InvalidArgument("probe", str(checkpoint), words) from None


def state_of(one: Placed) -> State:
    """Return the state that says a row."""
    key = one.row.key or key_of(one.row.logits)
    return State(one.row.name, key, tuple(map(int, one.tokens)), one.whole)


def probe_of(told: dict[str, Any], tensors: dict[str, Any]) -> Probe:
    """Return a probe from what its manifest says."""
    states = tuple(State(s["name"], s["key"], tuple(s["tokens"]), s["whole"]) for s in told["states"])
    texts = dict(zip(told["tokens"], told["text"], strict=True))
    logits, leads_to = tensors["logits"], tensors["leads_to"]
    if logits.shape != (len(states), len(leads_to)):
        raise ValueError(
            f"logits of the shape {logits.shape} for {len(states)} states and {len(leads_to)} tokens"
        )
    return Probe(logits, leads_to, states, texts, told["end"], told["dtype"])
