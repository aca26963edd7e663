"""The toy's tokenizer: byte-level BPE in the manner of Llama 3, with its special tokens and chat template."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from sampling.toy.messages import Dialogue

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

BOS = "<|begin_of_text|>"
END_OF_TEXT = "<|end_of_text|>"
PAD = "<|finetune_right_pad_id|>"
START_HEADER = "<|start_header_id|>"
END_HEADER = "<|end_header_id|>"
EOT = "<|eot_id|>"
SPECIAL_TOKENS = (BOS, END_OF_TEXT, PAD, START_HEADER, END_HEADER, EOT)

# Llama 3 cuts text with this pattern before it merges bytes.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

CHAT_TEMPLATE = (
    "{{- bos_token -}}"
    "{%- for message in messages -%}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' -}}"
    "{{- message['content'] | trim -}}"
    "{{- '<|eot_id|>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}"
    "{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' -}}"
    "{%- endif -%}"
)


def build_tokenizer(corpus: Iterable[Dialogue], *, vocabulary: int, context: int) -> PreTrainedTokenizerFast:
    """Learns the merges from dialogues.

    Only ASCII is merged: each accented letter and each emoji stays spelled in its bytes, one token a byte.

    Args:
        corpus: The dialogues.
        vocabulary: How many tokens there are in all, the special ones included.
        context: The longest text in tokens, for the record in the configuration.

    Returns:
        The tokenizer: special tokens last, a chat template, and BOS before every text, as Llama 3 has them.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_ascii_pieces(corpus), trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL_TOKENS])
    tokenizer.post_processor = _bos_first(tokenizer.get_vocab()[BOS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOT,
        pad_token=PAD,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=context,
        model_input_names=["input_ids", "attention_mask"],
    )


def encode_dialogues(
    tokenizer: PreTrainedTokenizerFast, corpus: Sequence[Dialogue]
) -> list[tuple[list[int], list[bool]]]:
    """Dialogues' tokens as the chat template lays them out, and which of them the assistant has to say.

    Returns:
        For each dialogue its token ids [T], and [T] flags that are true for the assistant's content and the
        end of turn after it.
    """
    messages = [message for dialogue in corpus for message in dialogue]
    headers = [f"{START_HEADER}{message['role']}{END_HEADER}\n\n" for message in messages]
    contents = [message["content"].strip() + EOT for message in messages]
    header_ids = iter(tokenizer(headers, add_special_tokens=False)["input_ids"])
    content_ids = iter(tokenizer(contents, add_special_tokens=False)["input_ids"])
    bos = token_id(tokenizer, BOS)
    return [_join(bos, dialogue, header_ids, content_ids) for dialogue in corpus]


def token_id(tokenizer: PreTrainedTokenizerFast, token: str) -> int:
    """Return the id of a token that the vocabulary has."""
    return tokenizer.get_vocab()[token]


def _join(
    bos: int, dialogue: Dialogue, headers: Iterator[list[int]], contents: Iterator[list[int]]
) -> tuple[list[int], list[bool]]:
    ids, spoken = [bos], [False]
    for message in dialogue:
        header, content = next(headers), next(contents)
        ids += header + content
        spoken += [False] * len(header) + [message["role"] == "assistant"] * len(content)
    return ids, spoken


def _ascii_pieces(corpus: Iterable[Dialogue]) -> Iterator[str]:
    for dialogue in corpus:
        for message in dialogue:
            yield f"{message['role']}\n\n"
            yield from re.split(r"[^\x00-\x7f]+", message["content"])


def _bos_first(bos: int) -> object:
    from tokenizers import processors

    return processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single=f"{BOS} $A", pair=f"{BOS} $A {BOS}:1 $B:1", special_tokens=[(BOS, bos)]
            ),
        ]
    )
