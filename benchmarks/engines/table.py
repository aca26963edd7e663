"""The engines of the matrix: where each is, and which dialect it should have."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Protocol

from engines.serving import serving
from sampling.conformance.endpoint.client import Budget
from sampling.conformance.endpoint.patience import Patience
from sampling.conformance.endpoint.target import EndpointTarget


@dataclass(frozen=True)
class Opened:
    """An engine that can be asked.

    Args:
        target: Makes a target for one verification.
        version: Of the engine.
        through: Which of its code answers.
    """

    target: Callable[[], Any]
    version: str
    through: str


class Engine(Protocol):
    """A row of the matrix."""

    name: str
    dialect: str

    def open(self) -> AbstractContextManager[Opened]:
        """Start or import it; that may fail."""
        ...


@dataclass(frozen=True)
class CallableEngine:
    """An adapter in this package.

    Args:
        name: What the matrix calls it.
        dialect: What it should be.
        adapter: Module and class.
        before: Modules to import first.
    """

    name: str
    dialect: str
    adapter: str
    before: tuple[str, ...] = ()

    @contextmanager
    def open(self) -> Generator[Opened]:
        """Import the engine; that may fail."""
        for module in self.before:
            importlib.import_module(f"engines.{module}")
        module, _, kind = self.adapter.partition(":")
        adapter = getattr(importlib.import_module(f"engines.{module}"), kind)()
        yield Opened(lambda: adapter, adapter.version, adapter.through)


@dataclass(frozen=True)
class EndpointEngine:
    """A server over HTTP.

    Args:
        name: What the matrix calls it.
        dialect: What it should be.
        package: Whose version it has.
        command: Arguments of Python that start it, with PORT in the place of a port.
        model: The name to ask for.
        through: Which of the engine's code answers.
        requests: How many it is asked at most in one verification.
    """

    name: str
    dialect: str
    package: str
    command: tuple[str, ...]
    model: str
    through: str
    requests: int = 100_000

    @contextmanager
    def open(self) -> Generator[Opened]:
        """Start the server; that may fail."""
        with serving(self.command) as url:
            yield Opened(lambda: self.target(url), version(self.package), self.through)

    def target(self, url: str) -> EndpointTarget:
        """A target with a budget of its own."""
        return EndpointTarget(url, model=self.model, patience=PATIENCE, budget=Budget(self.requests))


# Servers that answer 500 to what they can not do are not asked six times.
PATIENCE = Patience(seconds=30, tries=2, pause=0.1)

ENGINES: dict[str, Engine] = {
    "sampling-serve": EndpointEngine(
        "this library, `sampling serve`",
        "qstash",
        "sampling-reference",
        ("-m", "sampling", "serve", "--port", "PORT"),
        "sampling-toy",
        "sampling serve on the built-in checkpoint",
    ),
    "transformers-generate": CallableEngine(
        "transformers `generate`", "transformers", "transformers_generate:TransformersGenerate"
    ),
    "vllm-sampler": CallableEngine(
        "vLLM's sampler", "vllm-pytorch", "vllm_sampler:VllmSampler", before=("without_pinning",)
    ),
    "sglang-sampler": CallableEngine(
        "SGLang's sampler", "sglang", "sglang_sampler:SglangSampler", before=("without_images",)
    ),
    "llama.cpp-chain": CallableEngine(
        "llama.cpp's sampler chain", "llama.cpp", "llama_cpp_chain:LlamaCppChain"
    ),
    "llama.cpp-server": EndpointEngine(
        "llama-cpp-python's server",
        "llama.cpp",
        "llama-cpp-python",
        ("-m", "engines.llama_cpp_server", "PORT"),
        "toy",
        "llama_cpp.server on the built-in checkpoint as a GGUF file in float32",
    ),
    "transformers-serve": EndpointEngine(
        "`transformers serve`",
        "transformers",
        "transformers",
        ("-m", "engines.transformers_serve", "PORT"),
        "checkpoint",
        "transformers serve on the built-in checkpoint with do_sample: true in its generation_config.json, float32, CPU",
    ),
}
