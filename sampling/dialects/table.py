"""All dialects, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, cast

from sampling.core.errors import InvalidArgument
from sampling.dialects.llama_cpp import LLAMA_CPP
from sampling.dialects.openai import OPENAI
from sampling.dialects.qstash import QSTASH
from sampling.dialects.rules import Dialect
from sampling.dialects.sglang import SGLANG
from sampling.dialects.transformers import TRANSFORMERS
from sampling.dialects.vllm import VLLM, VLLM_PYTORCH
from sampling.dialects.vllm_0_4 import VLLM_0_4

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {d.name: d for d in (QSTASH, OPENAI, VLLM_0_4, VLLM, VLLM_PYTORCH, TRANSFORMERS, SGLANG, LLAMA_CPP)}
)


DialectName = Literal[
    "qstash", "openai", "vllm-0.4", "vllm", "vllm-pytorch", "transformers", "sglang", "llama.cpp"
]


def get_dialect(name: DialectName | Dialect) -> Dialect:
    """Look a dialect up by name.

    Args:
        name: "qstash", "openai", "vllm-0.4", "vllm", "vllm-pytorch", "transformers", "sglang" or "llama.cpp"; or a dialect of
            your own.

    Returns:
        The dialect.

    Raises:
        InvalidArgument: No dialect has that name.

    Example:
        >>> get_dialect("sglang").logprob_mode
        'temperature'
    """
    if isinstance(name, Dialect):
        return name
    if not isinstance(cast("object", name), str) or name not in DIALECTS:
        raise InvalidArgument("dialect", name, f"one of {', '.join(DIALECTS)}")
    return DIALECTS[name]


dialect = get_dialect
