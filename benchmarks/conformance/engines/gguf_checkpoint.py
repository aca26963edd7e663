"""A checkpoint as a GGUF file with its vocabulary, in float32.

python -m benchmarks.conformance.engines.gguf_checkpoint CHECKPOINT FILE
"""

from __future__ import annotations

import sys
from pathlib import Path

import gguf

from benchmarks.harness.gguf_file import add_shape, add_tensor, in_pairs
from sampling import LanguageModel, load
from sampling.model import Llama, tensor_name


class ShapeWriter(gguf.GGUFWriter):
    """Names a vocabulary where `add_shape` says that there is none."""

    def add_tokenizer_model(self, model: str) -> None:
        """The byte-level BPE."""
        super().add_tokenizer_model("gpt2")


def write_with_vocabulary(loaded: LanguageModel, path: Path) -> None:
    """Write weights in float32, vocabulary, merges, special tokens and chat template."""
    model: Llama = loaded.model
    writer = ShapeWriter(path, gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.LLAMA])
    add_shape(writer, model.config)
    add_vocabulary(writer, loaded)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, model.config.num_hidden_layers)
    for parameter, weight in model.named_parameters():
        name = names.get_name(tensor_name(parameter), try_suffixes=(".weight",))
        add_tensor(writer, str(name), in_pairs(parameter, weight.detach(), model.config), "float32")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_vocabulary(writer: gguf.GGUFWriter, loaded: LanguageModel) -> None:
    """What tokenizer.json says, under GGUF's names; ids without a token have a name that no text holds."""
    tokenizer, specials = loaded.tokenizer, loaded.tokenizer.added_tokens_decoder
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    kinds = [gguf.TokenType.CONTROL if i in specials else gguf.TokenType.NORMAL for i in range(len(tokens))]
    spare = range(len(tokens), loaded.model.config.vocab_size)
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list([*tokens, *(f"<unused {token}>" for token in spare)])
    writer.add_token_types([*kinds, *(gguf.TokenType.UNUSED for _ in spare)])
    vocabulary = gguf.SpecialVocab(tokenizer.name_or_path, load_merges=True)
    vocabulary.merges = vocabulary.merges or [
        "Ġ Ġ"
    ]  # the format wants one; this makes no token that there is
    vocabulary.add_to_gguf(writer)


if __name__ == "__main__":
    write_with_vocabulary(load(sys.argv[1]), Path(sys.argv[2]))
