"""inspect-ai: a checkpoint as its model `sampling/PATH`, found by the entry point of this package."""

from __future__ import annotations

from typing import Any

from anyio.to_thread import run_sync
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessageAssistant,
    GenerateConfig,
    Logprob,
    Logprobs,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    TopLogprob,
    modelapi,
)

from sampling.adapters.hosts import check_host
from sampling.core.errors import InvalidArgument

__all__ = ["SamplingAPI", "sampling"]

TOY = "toy"  # the name of the built-in checkpoint
# What inspect-ai calls the fields of a request.
FIELDS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "logit_bias": "logit_bias",
    "seed": "seed",
    "num_choices": "n",
    "logprobs": "logprobs",
    "top_logprobs": "top_logprobs",
    "stop_seqs": "stop",
    "max_tokens": "max_tokens",
}
# What inspect-ai acts upon by itself.
OF_THE_HOST = {
    *(
        "max_retries",
        "timeout",
        "attempt_timeout",
        "stream_idle_timeout",
        "max_connections",
        "adaptive_connections",
    ),
    *("system_message", "max_tool_output", "cache", "fallback_models", "fail_on_refusal"),
}
STOP_REASONS = {"stop": "stop", "length": "max_tokens"}


class SamplingAPI(ModelAPI):
    """The provider of `sampling/PATH`: answers by `LanguageModel.chat` in this process, one request at a time.

    Args:
        model_name: The checkpoint's directory, or "toy" for the built-in one.
        base_url: None: there is no server.
        api_key: None.
        config: As inspect-ai has it.
        dialect: What the parameters mean.
        model_args: `device` and `dtype`, as `load` takes them.

    Raises:
        InvalidArgument: inspect-ai is of an untested version, or an argument is not allowed. When it runs: tools, or a field
            of the configuration that the library does not have.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008 (as inspect-ai has it)
        dialect: str = "vllm",
        **model_args: Any,
    ) -> None:
        from sampling.chat.language_model import load

        check_host("inspect_ai")
        super().__init__(model_name, base_url, api_key, [], config)
        for name, value in (("base_url", base_url), *((one, model_args[one]) for one in model_args)):
            if value is not None and name not in ("device", "dtype"):
                raise InvalidArgument(name, value, "left out: model arguments are dialect, device and dtype")
        self.dialect: Any = dialect
        self.language_model = load(None if model_name == TOY else model_name, **model_args)

    def max_connections(self) -> int:
        """Return 1: one model of this process answers."""
        return 1

    async def generate(self, input: Any, tools: Any, tool_choice: Any, config: GenerateConfig) -> ModelOutput:  # noqa: A002
        """Answer a conversation; inspect-ai calls it."""
        if tools:
            raise InvalidArgument("tools", [one.name for one in tools], "left out: the library has no tools")
        messages: list[Any] = [{"role": message.role, "content": message.text} for message in input]
        fields = fields_of(config)

        def answer() -> dict[str, Any]:
            return {**self.language_model.chat(messages, dialect=self.dialect, **fields)}

        return output_of(await run_sync(answer), self.model_name)


def fields_of(config: GenerateConfig) -> dict[str, Any]:
    """Return the fields of a request.

    Raises:
        InvalidArgument: The configuration has one that is not offered.
    """
    given = {name: value for name, value in config.model_dump().items() if value is not None}
    fields = {FIELDS[name]: value for name, value in given.items() if name in FIELDS}
    schema = given.pop("response_schema", None)
    if schema is not None:
        form = {
            "name": schema["name"],
            "schema": config.response_schema.json_schema.model_dump(exclude_none=True),
        }
        fields["response_format"] = {"type": "json_schema", "json_schema": form}
    for name, value in given.items():
        if name not in FIELDS and name not in OF_THE_HOST:
            raise InvalidArgument(
                name, value, f"left out: offered are {', '.join(FIELDS)} and response_schema"
            )
    return fields


def output_of(response: dict[str, Any], name: str) -> ModelOutput:
    """Return a response as inspect-ai has it."""
    usage = response["usage"]
    return ModelOutput(
        model=name,
        choices=[choice_of(choice, name) for choice in response["choices"]],
        usage=ModelUsage(
            input_tokens=usage["prompt_tokens"],
            output_tokens=usage["completion_tokens"],
            total_tokens=usage["total_tokens"],
        ),
    )


def choice_of(choice: dict[str, Any], name: str) -> ChatCompletionChoice:
    """Return a choice as inspect-ai has it."""
    found = (choice.get("logprobs") or {}).get("content")
    return ChatCompletionChoice(
        message=ChatMessageAssistant(content=choice["message"]["content"], model=name, source="generate"),
        stop_reason=STOP_REASONS.get(choice["finish_reason"], "unknown"),
        logprobs=None if found is None else Logprobs(content=[logprob_of(token) for token in found]),
    )


def logprob_of(token: dict[str, Any]) -> Logprob:
    """Return a token's log probability, with its alternatives."""
    top = [
        TopLogprob(token=one["token"], logprob=one["logprob"], bytes=one["bytes"])
        for one in token["top_logprobs"]
    ]
    return Logprob(token=token["token"], logprob=token["logprob"], bytes=token["bytes"], top_logprobs=top)


@modelapi(name="sampling")
def sampling() -> type[ModelAPI]:
    """Return the provider; inspect-ai calls it for names that begin with `sampling/`."""
    return SamplingAPI
