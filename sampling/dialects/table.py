"""All dialects, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, cast

from sampling.core.errors import InvalidArgument
from sampling.dialects.ctranslate2 import CTRANSLATE2
from sampling.dialects.exllamav3 import EXLLAMAV3
from sampling.dialects.litgpt import LITGPT
from sampling.dialects.llama_cpp import LLAMA_CPP
from sampling.dialects.lmdeploy import LMDEPLOY
from sampling.dialects.mistralrs import MISTRALRS
from sampling.dialects.mlx_lm import MLX_LM
from sampling.dialects.onnxruntime_genai import ONNXRUNTIME_GENAI
from sampling.dialects.openai import OPENAI
from sampling.dialects.openvino_genai import OPENVINO_GENAI
from sampling.dialects.qstash import QSTASH
from sampling.dialects.rules import Dialect
from sampling.dialects.sglang import SGLANG
from sampling.dialects.transformers import TRANSFORMERS
from sampling.dialects.transformers_serve import TRANSFORMERS_SERVE
from sampling.dialects.vllm import VLLM
from sampling.dialects.vllm_0_4 import VLLM_0_4
from sampling.dialects.vllm_v1 import VLLM_V1

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {
        d.name: d
        for d in (
            QSTASH,
            OPENAI,
            VLLM_0_4,
            VLLM,
            VLLM_V1,
            TRANSFORMERS,
            TRANSFORMERS_SERVE,
            SGLANG,
            LLAMA_CPP,
            MLX_LM,
            MISTRALRS,
            CTRANSLATE2,
            ONNXRUNTIME_GENAI,
            OPENVINO_GENAI,
            LITGPT,
            LMDEPLOY,
            EXLLAMAV3,
        )
    }
)

ALIASES: Mapping[str, str] = MappingProxyType({"vllm-pytorch": "vllm-v1"})
"""Names that dialects had."""

DialectName = Literal[
    "qstash",
    "openai",
    "vllm-0.4",
    "vllm",
    "vllm-v1",
    "vllm-pytorch",
    "transformers",
    "transformers-serve",
    "sglang",
    "llama.cpp",
    "mlx-lm",
    "mistralrs",
    "ctranslate2",
    "onnxruntime-genai",
    "openvino-genai",
    "litgpt",
    "lmdeploy",
    "exllamav3",
]


def get_dialect(name: DialectName | Dialect) -> Dialect:
    """Look a dialect up by name.

    Args:
        name: A key of `DIALECTS`, or "vllm-pytorch", which "vllm-v1" was called; or a dialect of your own.

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
    found = ALIASES.get(name, name) if isinstance(cast("object", name), str) else ""
    if found not in DIALECTS:
        raise InvalidArgument("dialect", name, f"one of {', '.join(DIALECTS)}")
    return DIALECTS[found]


dialect = get_dialect
