"""JSON schemas of what goes over the wire; their ranges are those that requests are checked against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sampling.chat.fields import FIELDS, MOST_CHOICES, kinds_of
from sampling.chat.kinds import Schema
from sampling.core.params import INTEGERS, NUMBERS, PAGE
from sampling.dialects import Dialect
from sampling.pipeline.effective import NEUTRAL

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
        "logprobs": BOOLEAN,
        **{name: kind.schema for name, kind in kinds_of(dialect).items()},
        "n": within(INTEGER, 1, min(MOST_CHOICES, most_choices)),
    }
    if "stop_token_ids" in fields:
        known = within(INTEGER, 0, vocab_size - 1)
        fields["stop_token_ids"] = {**fields["stop_token_ids"], "items": known}
    if not dialect.zero_temperature:
        fields["temperature"] = {**fields["temperature"], "exclusiveMinimum": 0}
    fields["top_k"] = top_k(dialect)
    fields |= {name: neutral(name) for name in NEUTRAL if name in fields and name not in dialect.stages}
    always = {"model": {"enum": [*names]}, "messages": fields["messages"]}
    kept = {**{name: optional(schema) for name, schema in fields.items()}, **always}
    whole = record(kept, [*always])
    return {**whole, "additionalProperties": NULL, "allOf": needs(dialect)}


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
    text = {"anyOf": [record({"type": {"const": "text"}}), NULL]}
    plain = [
        {"anyOf": [record({name: {"enum": [off, None]}}), record({"response_format": text})]}
        for name, off in (("ignore_eos", False), ("min_tokens", 0))
        if name in dialect.fields
    ]
    ends = ("continue_final_message", "add_generation_prompt")
    if {*ends} <= {*dialect.fields}:
        plain.append({"anyOf": [record({name: {"enum": [False, None]}}) for name in ends]})
    return [
        given_true("logprobs", "top_logprobs", {"enum": [0, None]}),
        given_true("stream", "stream_options", NULL),
        *plain,
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
    reason: dict[str, Schema] = (
        {"stop_reason": {"type": ["string", "integer", "null"]}} if dialect.gives_stop_reason else {}
    )
    always = {"index": INTEGER, **fields, "logprobs": LOGPROBS}
    return {**full(**always), "properties": {**always, **reason}}


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


ERROR = full(
    error=full(message=TEXT, type=TEXT, param={"type": ["string", "null"]}, code={"type": ["string", "null"]})
)
MODEL = full(
    id=TEXT, object={"const": "model"}, created=INTEGER, owned_by=TEXT, root=TEXT, max_model_len=INTEGER
)
MODELS = full(object={"const": "list"}, data=listed(MODEL))
HEALTH = full(status={"const": "ok"})
