"""Write the probe checkpoint whose states hold the kit's questions."""

from __future__ import annotations

from pathlib import Path

from sampling.conformance.probe.questions import rows
from sampling.core.errors import InvalidArgument
from sampling.core.params import integer
from sampling.probe.alphabet import END, alphabet
from sampling.probe.chain import dtype_named
from sampling.probe.checkpoint import GGUF, NEUTRAL, SPECIAL_IDS, write_checkpoint, write_gguf, write_weights
from sampling.probe.own_tokenizer import open_tokenizer, vocabulary_of
from sampling.probe.probe import FOLDER, MANIFEST, Probe
from sampling.probe.rows import placed

VOCAB, LARGEST = 4096, 2**20
IDS = ("bos_token_id", "eos_token_id", "pad_token_id")


def write_probe(
    folder: str | Path,
    *,
    vocab: int | None = None,
    tokenizer: str | Path | None = None,
    gguf: bool = False,
    dtype: str = "float32",
) -> Probe:
    """Write a Llama checkpoint whose logits are the numbers that `verify` asks about.

    Args:
        folder: A new folder, an empty one, or one that this has written; Hugging Face's files, and in `probe/` the manifest.
        vocab: V; 4096 when left out, or as many as the tokenizer has.
        tokenizer: A folder with a tokenizer; when left out, a text's characters are its tokens.
        gguf: Whether to write `checkpoint.gguf` there as well; needs the extra `gguf`.
        dtype: Of the weights: "float32", "bfloat16" or "float16"; the logits are rounded to it.

    Returns:
        The probe.

    Raises:
        InvalidArgument: Another folder, too narrow a vocabulary, no such type, or a tokenizer that does not do.
        CheckpointError: The tokenizer cannot be read.
    """
    place = Path(folder)
    if place.exists() and not ours(place):
        raise InvalidArgument(
            "folder", str(folder), "a new folder, an empty one, or one that `sampling probe` has written"
        )
    dtype_named(dtype)
    if vocab is not None:
        integer("vocab", vocab, 1, LARGEST)
    reader = None if tokenizer is None else open_tokenizer(tokenizer)
    words = alphabet(vocab or VOCAB) if reader is None else vocabulary_of(reader)
    width = vocab or max(VOCAB if reader is None else 0, len(words.pieces))
    if width < len(words.pieces):
        raise InvalidArgument("vocab", width, f"at least {len(words.pieces)}, as the tokenizer has them")
    if gguf and not words.merges:
        raise InvalidArgument(
            "gguf", gguf, "left out: the tokenizer is no byte-level BPE, as GGUF wants it here"
        )
    special = SPECIAL_IDS if reader is None else specials(reader)
    end = END if reader is None else special["eos_token_id"]
    probe = Probe.of(
        placed(rows(len(words.texts), dtype), [*words.texts], width), words.texts, width, end, dtype
    )
    if reader is None:
        write_checkpoint(place, probe.chain, words, dtype=dtype)
    else:
        write_weights(place, probe.chain, defaults=NEUTRAL, special=special, dtype=dtype)
        reader.save_pretrained(str(place))
    if gguf:
        write_gguf(place / GGUF, probe.chain, words, special=special, dtype=dtype)
    probe.save(place)
    return probe


def ours(folder: Path) -> bool:
    """Whether a folder is empty, or was written before."""
    return folder.is_dir() and (not any(folder.iterdir()) or (folder / FOLDER / MANIFEST).is_file())


def specials(reader: object) -> dict[str, int]:
    """Return the ids of a tokenizer's special tokens.

    Raises:
        InvalidArgument: It has none that ends a text.
    """
    found = {name: getattr(reader, name) for name in IDS if getattr(reader, name, None) is not None}
    if "eos_token_id" not in found:
        raise InvalidArgument("tokenizer", getattr(reader, "name_or_path", ""), "one with an end token")
    return found
