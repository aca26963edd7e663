"""What every test shares: repeatable Hypothesis runs, the real Llama-3 tokenizer, a compiler where there is one."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None, print_blob=False)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def llama3_tokenizer() -> PreTrainedTokenizerFast:
    """The real Llama-3 tokenizer, from the vocabulary file in the package `llama-models`."""
    from llama3_tokenizer import build_llama3_tokenizer

    return build_llama3_tokenizer()


@pytest.fixture
def compiled() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`torch.compile(fullgraph=True)`, or a skip that says what was not tested."""
    if not any(map(shutil.which, ("g++", "c++", "clang++"))):
        pytest.skip("NO C++ COMPILER FOUND: that compiled equals eager was NOT tested")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own deprecations, while it loads its compiler
        import torch._inductor.compile_fx
    return lambda function: torch.compile(function, fullgraph=True)


@pytest.fixture
def traced() -> Iterator[None]:
    """Has torch's compiler trace and guard what the library compiles, without making machine code."""
    from traced import tracing

    with tracing():
        yield
