"""Between token ids and text: prompts, token bytes, incremental decoding, stop strings, grammars."""

from __future__ import annotations

from sampling.text.floor import TokenFloor
from sampling.text.grammar import Grammar, Grammars
from sampling.text.incremental import prefix_bytes
from sampling.text.plain_prompt import PlainPrompt, plain_prompt, prompt_texts
from sampling.text.prompt import chat_prompt
from sampling.text.prompt_limit import PromptLimit
from sampling.text.stop import StopStrings
from sampling.text.template import CLOCK
from sampling.text.token_bytes import token_bytes
from sampling.text.tokenizer import load_tokenizer
from sampling.text.vocabulary import Vocabulary

__all__ = [
    "CLOCK",
    "Grammar",
    "Grammars",
    "PlainPrompt",
    "PromptLimit",
    "StopStrings",
    "TokenFloor",
    "Vocabulary",
    "chat_prompt",
    "load_tokenizer",
    "plain_prompt",
    "prefix_bytes",
    "prompt_texts",
    "token_bytes",
]
