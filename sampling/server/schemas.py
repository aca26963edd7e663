"""JSON schemas of what goes over the wire; their ranges are those that requests are checked against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sampling.chat.fields import FIELDS, MOST_CHOICES, OTHER_NAMES, kinds_of
from sampling.chat.kinds import Kind, Schema
from sampling.chat.text_fields import MOST_PROMPTS, text_kinds
from sampling.core.params import INTEGERS, NUMBERS, PAGE
from sampling.dialects import Dialect
from sampling.pipeline.effective import NEUTRAL

OF_TEMPLATES = ("add_generation_prompt", "chat_template_kwargs", "continue_final_message")

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
INTEGER: Schema = {"type": "integer"}
BOOLEAN: Schema = {"type": "boolean"}
NULL: Schema = {"type": "null"}


def within(base: Schema, low: float, high: float) -> Schema:
    """Return a number of a closed range."""
    return {**base, "minimum": low, "maximum": high}


def optional(schema: Schema) -> Schema:
    """Return a value that may be null, which means left out."""
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, NULL]}


def record(properties: Mapping[str, Schema], required: Sequence[str] = (), *, closed: bool = False) -> Schema:
    """Return an object with properties, some of them required; a closed one has no others."""
    whole = {"type": "object", "properties": {**properties}, "required": [*required]}
    return {**whole, "additionalProperties": False} if closed else whole


def full(**properties: Schema) -> Schema:
    """Return an object that has all these properties."""
    return record(properties, [*properties])


def listed(items: Schema, **limits: int) -> Schema:
    """Return a list."""
    return {"type": "array", "items": items, **limits}


def below(bound: int) -> str:
    """Return a regular expression of the integers from 0 to below a bound, in decimal.

    Example:
        >>> below(2048)
        '^([0-9]|[1-9][0-9]{1,2}|1[0-9]{3}|20[0-3][0-9]{1}|204[0-7])$'
    """
    digits = str(bound - 1)
    parts = ["[0-9]"] if len(digits) > 1 else []
    parts += [f"[1-9][0-9]{{1,{len(digits) - 2}}}"] if len(digits) > 2 else []
    for place, digit in enumerate(digits):
        low = 1 if place == 0 and len(digits) > 1 else 0
        high = int(digit) - (place < len(digits) - 1)
        if low <= high:
            span = str(low) if low == high else f"[{low}-{high}]"
            rest = len(digits) - place - 1
            parts.append(digits[:place] + span + (f"[0-9]{{{rest}}}" if rest else ""))
    return f"^({'|'.join(parts)})$"


def request_schema(dialect: Dialect, *, names: tuple[str, ...], vocab_size: int, most_choices: int) -> Schema:
    """Return what a chat completion request is; what the dialect has no stage for is no field."""
    fields = {"logprobs": BOOLEAN, **sampling_fields(dialect, kinds_of(dialect), vocab_size, most_choices)}
    return whole_request(fields, names, "messages", needs(dialect))


def text_request_schema(
    dialect: Dialect, *, names: tuple[str, ...], vocab_size: int, most_choices: int
) -> Schema:
    """Return what a text completion request is."""
    fields = sampling_fields(dialect, text_kinds(dialect), vocab_size, most_choices)
    del fields["top_logprobs"]
    ids = listed(within(INTEGER, 0, vocab_size - 1), minItems=1)
    many = {"minItems": 1, "maxItems": MOST_PROMPTS}
    fields["prompt"] = {"anyOf": [TEXT, ids, listed(TEXT, **many), listed(ids, **many)]}
    return whole_request(fields, names, "prompt", [*text_needs(dialect), *format_needs(dialect)])


def text_needs(dialect: Dialect) -> list[Schema]:
    """Which fields need another beside a prompt."""
    limits = [name for name in text_kinds(dialect) if OTHER_NAMES.get(name, name) == "max_tokens"]
    nothing = [record({name: {"const": 0}}, [name]) for name in limits]
    said: list[Schema] = [record({"echo": {"const": True}}, ["echo"])]
    rules = [given_true("stream", "stream_options", NULL)]
    if "prompt_logprobs" in dialect.fields:
        said.append(record({"prompt_logprobs": INTEGER}, ["prompt_logprobs"]))
        whole = record({"stream": {"enum": [False, None]}})
        rules.append({"anyOf": [whole, record({"prompt_logprobs": NULL})]})
    return [*rules, {"anyOf": [*said, {"not": {"anyOf": nothing}}]}]


def sampling_fields(
    dialect: Dialect, kinds: Mapping[str, Kind], vocab_size: int, most_choices: int
) -> dict[str, Schema]:
    """Return the sampling parameters of a dialect, and other fields of some kinds."""
    ranges = dialect.ranges
    numbers = {name: within(NUMBER, *getattr(ranges, name)) for name in NUMBERS}
    integers = {name: within(INTEGER, *getattr(ranges, name)) for name in INTEGERS if name not in FIELDS}
    fields: dict[str, Schema] = {
        **numbers,
        **integers,
        "logit_bias": {
            "type": "object",
            "propertyNames": {"pattern": below(vocab_size)},
            "additionalProperties": within(NUMBER, *ranges.logit_bias),
        },
        **{name: kind.schema for name, kind in kinds.items()},
        "n": within(INTEGER, 1, min(MOST_CHOICES, most_choices)),
    }
    if "stop_token_ids" in fields:
        known = within(INTEGER, 0, vocab_size - 1)
        fields["stop_token_ids"] = {**fields["stop_token_ids"], "items": known}
    if not dialect.zero_temperature:
        fields["temperature"] = {**fields["temperature"], "exclusiveMinimum": 0}
    fields["top_k"] = top_k(dialect)
    fields |= {name: neutral(name) for name in NEUTRAL if name in fields and name not in dialect.stages}
    return fields


def whole_request(
    fields: Mapping[str, Schema], names: tuple[str, ...], needed: str, rules: list[Schema]
) -> Schema:
    """Return a request of these fields, each but the model and one other of which may be left out."""
    always = {"model": {"enum": [*names]}, needed: fields[needed]}
    kept = {**{name: optional(schema) for name, schema in fields.items()}, **always}
    return {**record(kept, [*always]), "additionalProperties": NULL, "allOf": rules}


def top_k(dialect: Dialect) -> Schema:
    """How many tokens to keep, or what a dialect has for all."""
    low, high = dialect.ranges.top_k
    off = dialect.top_k_off
    if low in off:
        return within(INTEGER, min(off), high)
    return {"anyOf": [{"enum": [*off]}, within(INTEGER, low + 1, high)]}


def neutral(name: str) -> Schema:
    """Return the value of a sampling parameter that changes nothing, where there is no stage for others."""
    return {"const": NEUTRAL[name]} if name != "logit_bias" else {"type": "object", "maxProperties": 0}


def needs(dialect: Dialect) -> list[Schema]:
    """Which fields need another. That two names of one field say the same is more than a schema can say."""
    plain = format_needs(dialect)
    ends = ("continue_final_message", "add_generation_prompt")
    if {*ends} <= {*dialect.fields}:
        plain.append({"anyOf": [record({name: {"enum": [False, None]}}) for name in ends]})
    return [
        given_true("logprobs", "top_logprobs", {"enum": [0, None]}),
        given_true("stream", "stream_options", NULL),
        *plain,
    ]


def format_needs(dialect: Dialect) -> list[Schema]:
    """Which fields have no place beside a response format."""
    text = {"anyOf": [record({"type": {"const": "text"}}), NULL]}
    return [
        {"anyOf": [record({name: {"enum": [off, None]}}), record({"response_format": text})]}
        for name, off in (("ignore_eos", False), ("min_tokens", 0))
        if name in dialect.fields
    ]


def given_true(name: str, other: str, otherwise: Schema) -> Schema:
    """Either a field is true, or another is as good as left out."""
    return {"anyOf": [record({name: {"const": True}}, [name]), record({other: otherwise})]}


TOKEN: Schema = {
    "token": TEXT,
    "logprob": NUMBER,
    "bytes": {**listed(within(INTEGER, 0, 255)), "type": ["array", "null"]},
}
LOGPROBS: Schema = {
    **full(content=listed(full(**TOKEN, top_logprobs=listed(full(**TOKEN))))),
    "type": ["object", "null"],
}
FINISH: Schema = {"enum": ["stop", "length"]}
USAGE = full(prompt_tokens=INTEGER, completion_tokens=INTEGER, total_tokens=INTEGER)
HEADER: Schema = {"id": TEXT, "created": INTEGER, "model": TEXT, "system_fingerprint": TEXT}
SEED = {
    "description": "The seed that was used, where the request has none.",
    **within(INTEGER, 0, PAGE.seed[1]),
}


READ = {
    "description": "The request's own, and what the chat template has read of the clock: with it the prompt is the same again.",
    "type": "object",
}
OPTIONAL: Schema = {"seed": SEED, "chat_template_kwargs": READ}


def choice_schema(dialect: Dialect, **fields: Schema) -> Schema:
    """Return an element of `choices`."""
    always = {"index": INTEGER, **fields, "logprobs": LOGPROBS}
    return {**full(**always), "properties": {**always, **stop_reason(dialect)}}


def stop_reason(dialect: Dialect) -> dict[str, Schema]:
    """Return what a choice has beside its `finish_reason`."""
    reason: Schema = {"type": ["string", "integer", "null"]}
    return {"stop_reason": reason} if dialect.gives_stop_reason else {}


def completion_schema(dialect: Dialect) -> Schema:
    """Return a whole response."""
    message = full(role={"const": "assistant"}, content=TEXT)
    choices = listed(choice_schema(dialect, message=message, finish_reason=FINISH))
    always = {**HEADER, "object": {"const": "chat.completion"}, "choices": choices, "usage": USAGE}
    return {**full(**always), "properties": {**always, **OPTIONAL}}


def chunk_schema(dialect: Dialect) -> Schema:
    """Return a chunk of a stream."""
    delta = record({"role": {"const": "assistant"}, "content": TEXT})
    ends = {"enum": ["stop", "length", None]}
    choices = listed(choice_schema(dialect, delta=delta, finish_reason=ends))
    always = {**HEADER, "object": {"const": "chat.completion.chunk"}, "choices": choices}
    return {**full(**always), "properties": {**always, **OPTIONAL, "usage": {"anyOf": [USAGE, NULL]}}}


TEXT_LOGPROBS: Schema = {
    **full(
        tokens=listed(TEXT),
        token_logprobs=listed(optional(NUMBER)),
        top_logprobs=listed({"type": ["object", "null"], "additionalProperties": NUMBER}),
        text_offset=listed(INTEGER),
        bytes=listed({**listed(within(INTEGER, 0, 255)), "type": ["array", "null"]}),
    ),
    "type": ["object", "null"],
}
ALTERNATIVE = full(logprob=NUMBER, rank=INTEGER, decoded_token=TEXT)
TEXT_EXTENSIONS: Mapping[str, Schema] = {
    "prompt_logprobs": listed({"type": ["object", "null"], "additionalProperties": ALTERNATIVE}),
    "prompt_token_ids": listed(INTEGER),
    "token_ids": listed(INTEGER),
}


def text_completion_schema(dialect: Dialect, *, chunk: bool) -> Schema:
    """Return a whole response of a text completion, or a chunk of its stream."""
    finish = optional(FINISH) if chunk else FINISH
    always = {"index": INTEGER, "text": TEXT, "logprobs": TEXT_LOGPROBS, "finish_reason": finish}
    choice = {**full(**always), "properties": {**always, **stop_reason(dialect), **TEXT_EXTENSIONS}}
    whole: dict[str, Schema] = {**HEADER, "object": {"const": "text_completion"}, "choices": listed(choice)}
    usage = {"usage": {"anyOf": [USAGE, NULL]} if chunk else USAGE}
    return record({**whole, **usage, "seed": SEED}, [*whole, *([] if chunk else usage)])


COUNT = within(INTEGER, 0, 2**31 - 1)


def tokenize_schema(dialect: Dialect, *, names: tuple[str, ...]) -> Schema:
    """Return what a request for token ids is: a text, or the messages of a chat and what its template reads."""
    shared = {"model": optional({"enum": [*names]}), "return_token_strs": optional(BOOLEAN)}
    kinds = kinds_of(dialect)
    template = {name: optional(kinds[name].schema) for name in OF_TEMPLATES if name in kinds}
    of_text = record({**shared, "prompt": TEXT, "add_special_tokens": optional(BOOLEAN)}, ["prompt"])
    of_chats = record({**shared, "messages": kinds["messages"].schema, **template}, ["messages"])
    return {"anyOf": [{**one, "additionalProperties": NULL} for one in (of_text, of_chats)]}


def detokenize_schema(*, names: tuple[str, ...], tokens: int) -> Schema:
    """Return what a request for the text of token ids is."""
    known = listed(within(INTEGER, 0, tokens - 1))
    whole = record({"model": optional({"enum": [*names]}), "tokens": known}, ["tokens"])
    return {**whole, "additionalProperties": NULL}


TOKENIZED = full(
    count=COUNT,
    max_model_len=INTEGER,
    tokens=listed(COUNT),
    token_strs={**listed(TEXT), "type": ["array", "null"]},
)
DETOKENIZED = full(prompt=TEXT)
TOKENIZER_INFO = full(
    tokenizer_class=TEXT,
    chat_template=optional(TEXT),
    **{f"{name}_token": optional(TEXT) for name in ("bos", "eos", "pad", "unk")},
    vocab_size=INTEGER,
    max_model_len=INTEGER,
)
ERROR = full(
    error=full(message=TEXT, type=TEXT, param={"type": ["string", "null"]}, code={"type": ["string", "null"]})
)
MODEL = full(
    id=TEXT, object={"const": "model"}, created=INTEGER, owned_by=TEXT, root=TEXT, max_model_len=INTEGER
)
MODELS = full(object={"const": "list"}, data=listed(MODEL))
HEALTH = full(status={"const": "ok"})
