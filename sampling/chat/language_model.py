"""A loaded checkpoint: model, tokenizer and the way to chat with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Unpack, cast, overload

import torch

from sampling.chat.batch import ChatBatch
from sampling.chat.completion import Completion
from sampling.chat.loaded_model import LoadedModel
from sampling.chat.prepared import prepare
from sampling.chat.request import ChatRequest
from sampling.chat.stream import ChunkWriter, Writer
from sampling.chat.text_completion import TextCompletion
from sampling.chat.text_request import TextRequest
from sampling.chat.text_stream import TextWriter
from sampling.chat.text_typed import Prompt, PromptToken, TextFields, TextResponse
from sampling.chat.typed import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatFields,
    ChatMessage,
    ResponseMessage,
)
from sampling.compile.compiler import require_compiler
from sampling.core.errors import InvalidArgument
from sampling.dialects import Dialect, DialectName
from sampling.dialects import dialect as dialect_named
from sampling.model import Llama, load_llama, pack
from sampling.model.config import named_end_tokens
from sampling.model.generation import GenerationConfig
from sampling.text import load_tokenizer
from sampling.text.end_tokens import own_end_tokens, tell_end_tokens
from sampling.toy import CHECKPOINT

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class LanguageModel(LoadedModel):
    """A Llama-3 checkpoint, ready to chat.

    Args:
        model: The model.
        tokenizer: Its transformers tokenizer, with a chat template.
        name: What responses call it unless the request says.
        compile: Whether it decodes by compiled steps.
        generation: What the checkpoint says about sampling.

    Example:
        >>> from sampling import load
        >>> response = load(None).chat([{"role": "user", "content": "What is the capital of Turkey?"}], temperature=0)
        >>> response["choices"][0]["message"]["content"]
        'The capital of Turkey is Ankara.'
    """

    @overload
    def chat(
        self,
        messages: Sequence[ChatMessage | ResponseMessage],
        *,
        dialect: DialectName | Dialect = "qstash",
        stream: Literal[False] = False,
        **fields: Unpack[ChatFields],
    ) -> ChatCompletion: ...

    @overload
    def chat(
        self,
        messages: Sequence[ChatMessage | ResponseMessage],
        *,
        dialect: DialectName | Dialect = "qstash",
        stream: Literal[True],
        **fields: Unpack[ChatFields],
    ) -> Iterator[ChatCompletionChunk]: ...

    def chat(
        self,
        messages: Sequence[ChatMessage | ResponseMessage],
        *,
        dialect: DialectName | Dialect = "qstash",
        stream: bool = False,
        **fields: Unpack[ChatFields],
    ) -> ChatCompletion | Iterator[ChatCompletionChunk]:
        """Answer a conversation.

        Args:
            messages: Each with `role` (system, user or assistant) and `content`, a string or a list of text parts, perhaps a
                `name`; whether the model sees the name is for its chat template to say (Llama-3's leaves it out).
            dialect: How to sample and to answer.
            stream: Whether the answer comes in chunks.
            fields: The request fields of the API: max_tokens, temperature, top_p, frequency_penalty, presence_penalty,
                logit_bias, seed, logprobs, top_logprobs, n, stop, response_format, stream_options, model; also top_k, min_p,
                repetition_penalty, and those that the dialect has, such as chat_template_kwargs and
                continue_final_message. One that is None counts as left out; what is left out may come from the
                checkpoint's generation_config.json, where the dialect says so.

        Returns:
            The API's response object, or an iterator of its chunks, which decodes as it is read. Without a seed in the
            request each also has the `seed` that was used, and where the chat template has read the clock,
            `chat_template_kwargs` with what it read: with both the same request gives the same output.

        Raises:
            CheckpointError: The chat template renders nothing, or `generation_config.json` does not fit the dialect.
            InvalidRequest: A field is not allowed; the message names the field, the value and the range.
            RowError: The model's logits cannot be sampled.
            NotEnoughMemory: Memory ends; `max_tokens` has to be smaller.

        Source: "Create Chat Completion".
        """
        style = dialect_named(dialect)
        request = ChatRequest.parse({"messages": messages, "stream": stream, **fields}, style)
        completion = Completion(prepare(self, request, style))
        if request.stream:
            return cast("Iterator[ChatCompletionChunk]", chunks_of(completion))
        finish(completion)
        return cast("ChatCompletion", completion.response())

    @overload
    def complete(
        self,
        prompt: Prompt,
        *,
        dialect: DialectName | Dialect = "qstash",
        stream: Literal[False] = False,
        **fields: Unpack[TextFields],
    ) -> TextResponse: ...

    @overload
    def complete(
        self,
        prompt: Prompt,
        *,
        dialect: DialectName | Dialect = "qstash",
        stream: Literal[True],
        **fields: Unpack[TextFields],
    ) -> Iterator[TextResponse]: ...

    def complete(
        self,
        prompt: Prompt,
        *,
        dialect: DialectName | Dialect = "qstash",
        stream: bool = False,
        **fields: Unpack[TextFields],
    ) -> TextResponse | Iterator[TextResponse]:
        """Continue texts as they are, without a chat template.

        The text of a choice is the texts of its `tokens` joined, and a token of `text_offset` o begins `text[o:]`: with `echo`
        the prompt's come first. A token that ends no character, a control token that the tokenizer has added or that was
        sampled, and what lies behind a stop string have no text of their own; `bytes` has the vocabulary's. Names in
        `top_logprobs` are texts of tokens by themselves, `bytes:` and escapes where that is none. Log probabilities are those
        of the dialect, of a prompt always the model's own; none is left out for its rank.

        Args:
            prompt: A text, in which what looks like a control token is one; token ids, taken as they are; or a list of
                either. Each is continued by itself: choice i of prompt p is choice p n + i of the seed.
            dialect: How to sample and to answer.
            stream: Whether the answer comes in chunks.
            fields: The request fields of the API: max_tokens (16 where left out; 0 is allowed with echo), echo, logprobs (a
                number of alternatives, 0 to 20), temperature, top_p, frequency_penalty, presence_penalty, logit_bias, seed,
                n, stop, response_format, stream_options, model; also top_k, min_p, repetition_penalty, and those that the
                dialect has, such as prompt_logprobs, return_token_ids and add_special_tokens in "vllm".

        Returns:
            The API's response object, or an iterator of its chunks, which decodes as it is read. Without a seed in the
            request each also has the `seed` that was used.

        Raises:
            CheckpointError: `generation_config.json` does not fit the dialect.
            InvalidRequest: A field is not allowed; the message names the field, the value and the range.
            RowError: The model's logits cannot be sampled.
            NotEnoughMemory: Memory ends; `max_tokens` has to be smaller.

        Source: OpenAI API reference, "Completions".

        Example:
            >>> from sampling import load
            >>> response = load(None).complete("The capital of Turkey", temperature=0, max_tokens=2, echo=True, logprobs=0)
            >>> response["choices"][0]["text"]
            'The capital of Turkey is Ankara'
            >>> response["choices"][0]["logprobs"]["text_offset"]
            [0, 0, 3, 11, 14, 21, 24]
        """
        style = dialect_named(dialect)
        request = TextRequest.parse({"prompt": prompt, "stream": stream, **fields}, style)
        answer = TextCompletion.of(self, request, style)
        if request.stream:
            return cast("Iterator[TextResponse]", text_chunks_of(answer))
        for part in answer.parts:
            finish(part.completion)
        return cast("TextResponse", answer.response())

    def prompt_logprobs(
        self, prompt: str | Sequence[int], *, top_logprobs: int = 0, add_special_tokens: bool = True
    ) -> list[PromptToken]:
        """Compute the log probability of each token of a prompt after those before it, ln p(t_i | t_0 ... t_(i-1)).

        They are the model's own, with the bits that the mode `raw` of a sampler reports. Their sum is the log likelihood of
        all that follows the first token.

        Args:
            prompt: A text, tokenised as in `complete`, or token ids.
            top_logprobs: How many of the most likely tokens to list beside each, 0 to 20.
            add_special_tokens: Whether a text gets what the tokenizer puts around every text, such as a BOS.

        Returns:
            The tokens in their order. The first has no log probability and no rank, since nothing comes before it.

        Raises:
            InvalidRequest: The prompt or the number is not allowed.
            UnsampleableRow: The model's logits have NaN or +infinity.
            NotEnoughMemory: Memory ends.

        Example:
            >>> from sampling import load
            >>> tokens = load(None).prompt_logprobs("The capital of Turkey is Ankara", top_logprobs=1)
            >>> tokens[-1]["token"], tokens[-1]["rank"], tokens[-1]["top_logprobs"][0]["token"]
            (' Ankara', 1, ' Ankara')
            >>> log_likelihood = sum(token["logprob"] for token in tokens[1:])
        """
        asked = {"echo": True, "max_tokens": 0, "prompt_logprobs": top_logprobs}
        given = {"prompt": prompt, "add_special_tokens": add_special_tokens, **asked}
        style = dialect_named("vllm")
        (part,) = TextCompletion.of(self, TextRequest.parse(given, style), style).parts
        finish(part.completion)
        return part.prompt_tokens(top_logprobs)


def finish(completion: Completion) -> None:
    """Decode a completion by itself."""
    for _ in ChatBatch.alone(completion).run():
        pass


def chunks_of(completion: Completion, writer: Writer | None = None) -> Iterator[dict[str, Any]]:
    """Decode a completion by itself, and give its chunks as they come; those of a chat where there is no other writer."""
    writer, batch = writer or ChunkWriter(completion), ChatBatch.alone(completion)
    batch.read_prompts()
    yield from writer.start()
    for events in batch.run():
        yield from writer.write(events)


def text_chunks_of(answer: TextCompletion) -> Iterator[dict[str, Any]]:
    """Decode what follows some prompts, one after the other, and give the chunks as they come."""
    for part in answer.parts:
        yield from chunks_of(part.completion, TextWriter(answer, part))


def load(
    path: str | Path | None,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | str | None = None,
    compile: bool = False,  # noqa: A002 (the name that torch uses)
    parallel: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> LanguageModel:
    """Load a Llama-3 checkpoint in Hugging Face's format.

    Token ids are those of its tokenizer.json, whatever class tokenizer_config.json names; code in the directory is never run. A
    message ends with every token that config.json, generation_config.json or the tokenizer names, and the log says who names
    which. What else generation_config.json says about sampling holds in the dialects of engines that apply it.

    Args:
        path: Its directory; None for the built-in toy.
        device: Where the model goes.
        dtype: "float32" or "bfloat16", as a name or torch's; None for the checkpoint's own.
        compile: Whether it decodes by compiled steps: faster, with logits that are the same but for their rounding. The first
            step of each shape compiles, which takes a while and is announced in the log; torch keeps the result for later runs.
        parallel: Whether the processes that torchrun has started share the model, each with a part of the weights. All of
            them make the same calls then, and get the same answers.
        progress: Called with (bytes read, bytes in all) while weights are read.

    Returns:
        The language model.

    Raises:
        CheckpointError: The directory cannot be used; the message names the file and what is wrong.
        InvalidArgument: An argument is not allowed.
    """
    if compile and parallel:
        raise InvalidArgument("compile", compile, "False with parallel")
    if isinstance(dtype, str) and dtype not in DTYPES:
        raise InvalidArgument("dtype", dtype, f"one of {', '.join(DTYPES)}")
    if compile:
        require_compiler(device)
    folder = CHECKPOINT if path is None else Path(path)
    tokenizer = load_tokenizer(folder)  # first, since weights take longer to read
    generation = GenerationConfig.read(folder)
    build = Llama
    if parallel:  # torch's distributed tensors take a while to import
        from sampling.model.parallel import parallel_llama

        build = parallel_llama(device)
    model = load_llama(
        folder,
        device=device,
        dtype=DTYPES[dtype] if isinstance(dtype, str) else dtype,
        progress=progress,
        build=build,
    )
    name = "sampling-toy" if path is None else folder.resolve().name
    if not parallel:
        pack(model)
    loaded = LanguageModel(model, tokenizer, name, compile=compile, generation=generation)
    named = {**named_end_tokens(folder), "the tokenizer's eos_token": own_end_tokens(tokenizer)}
    tell_end_tokens(named, loaded.vocabulary)
    return loaded
