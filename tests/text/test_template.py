"""Chat templates: rendered as transformers renders them, under bounds, with what they read of the clock told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scripted import byte_tokenizer, encode_chat
from transformers.utils.chat_template_utils import (  # pyright: ignore[reportPrivateUsage]
    _compile_jinja_template,
)

from sampling.core.errors import CheckpointError, InvalidRequest
from sampling.helper import Helper
from sampling.text import renderer, template
from sampling.text.prompt import chat_prompt
from sampling.text.template import render
from sampling.toy import CHECKPOINT

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

NOON = datetime(2026, 1, 2, 12, 30, 15)
ASK = [{"role": "user", "content": "Hello"}]
TALK = [
    {"role": "system", "content": "  Be <b>brief</b>.\n"},
    {"role": "user", "content": "Say \"é\" & 'ü'\n\n", "name": "x"},
    {"role": "assistant", "content": "é"},
    {"role": "user", "content": ""},
]

# The first is Llama-3's, the second what Llama-3.1 and 3.2 do about the date; the others use what templates use.
TEMPLATES = {
    "llama-3": (CHECKPOINT / "chat_template.jinja").read_text(),
    "date": """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{{- "Today Date: " + date_string + "\\n\\n" }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}""",
    "white space": """
    {% for message in messages %}
    {{ message.role }}:
        {# a comment #}
      {{ message.content }}

    {% endfor %}
    {%+ if add_generation_prompt %}assistant:{% endif -%}

end""",
    "control": """{% for message in messages %}{% if loop.index0 == 2 %}{% continue %}{% endif %}
{% if loop.last and not message.content %}{% break %}{% endif %}
{{ loop.index }}{{ loop.previtem.role if not loop.first }}{% endfor %}""",
    "generation": """{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{% set x = m.content %}{{ x }}
{% endgeneration %}{% else %}{{ m.content }}{% endif %}{{ x }}{% endfor %}""",
    "functions": """{% set ns = namespace(n=0, self='s') %}{% for m in messages %}{% set ns.n = ns.n + m.content | length %}
{% endfor %}{{ ns.n }}{{ ns.self }}{{ dict(a=1, b=messages[0]) | tojson(indent=2) }}{{ dict.fromkeys('ab', 0) }}
{% set c = cycler('x', 'y') %}{{ c.next() }}{{ c.next() }}{% set j = joiner(', ') %}{{ j() }}{{ j() }}
{{ range(3) | list }}{{ messages | map(attribute='role') | unique | join('|') }}{{ messages | tojson }}
{{ messages | tojson(ensure_ascii=true, separators=(',', ':'), sort_keys=true) }}""",
    "macros": """{% macro turn(m, k=2) -%}
  {{ caller() if caller else '' }}[{{ m.role | upper }}{{ m['content'][:k] }}{{ m.name | default('-') }}]
{%- endmacro %}{% for m in messages %}{{ turn(m, k=3) }}{% call turn(m) %}called{% endcall %}{% endfor %}""",
    "variables": """{{ tools is defined }}{{ tools }}{{ documents }}{{ eos_token }}{{ unk_token is defined }}{{ nothing }}
{{ level | default('none') }}{{ messages[0].missing }}{{ messages[-1]['role'].startswith('u') }}{{ messages }}""",
}


def with_template(source: str) -> PreTrainedTokenizerFast:
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = source
    return tokenizer


def ours(
    source: str, messages: list[dict[str, str]], variables: Mapping[str, Any], *, generation: bool = True
) -> str:
    return render(
        with_template(source),
        messages,
        variables,
        add_generation_prompt=generation,
        now=datetime.now(),
    ).text


def theirs(
    source: str, messages: list[dict[str, str]], variables: Mapping[str, Any], *, generation: bool = True
) -> str:
    tokenizer = with_template(source)
    return tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=generation, **variables
    )


# As transformers renders


def test_the_environment_is_that_of_transformers() -> None:
    """Everything but the functions that are written here; these have the same names."""
    known, made = (_compile_jinja_template("").environment, renderer.compiled("").environment)
    written = {"filters": {"tojson", "random"}, "globals": {"dict", "lipsum", "namespace", "raise_exception"}}
    for table, own in {"tests": set[str](), **written}.items():
        one, other = getattr(known, table), getattr(made, table)
        assert one.keys() - {"strftime_now"} == other.keys()
        assert {name for name in other if one[name] is not other[name]} == own
    options = (
        "trim_blocks",
        "lstrip_blocks",
        "keep_trailing_newline",
        "undefined",
        "autoescape",
        "optimized",
    )
    assert [getattr(known, name) for name in options] == [getattr(made, name) for name in options]
    assert type(known) is type(made)


@pytest.mark.parametrize("generation", [True, False])
@pytest.mark.parametrize("variables", [{}, {"date_string": "1 Jan 2026", "level": {"a": [1, None, 2.5]}}])
@pytest.mark.parametrize("messages", [ASK, TALK], ids=["ask", "talk"])
@pytest.mark.parametrize("source", TEMPLATES.values(), ids=TEMPLATES)
def test_the_text_is_that_of_transformers(source, messages, variables, generation):
    expected = theirs(source, messages, variables, generation=generation)
    assert ours(source, messages, variables, generation=generation) == expected


@settings(max_examples=100)
@given(
    contents=st.lists(st.text(max_size=8), min_size=1, max_size=4),
    name=st.sampled_from(sorted(TEMPLATES)),
)
@example(contents=["\u2028\x00\ufeff"], name="functions")
def test_any_content_is_rendered_as_by_transformers(contents, name):
    messages = [{"role": role, "content": text} for role, text in zip("uaua", contents, strict=False)]
    assert ours(TEMPLATES[name], messages, {}) == theirs(TEMPLATES[name], messages, {})


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages.append(1) }}",
        "{{ messages[0].__class__ }}{{ messages.__class__.__mro__ }}",
        "{% set n = namespace(_x=1) %}",
        "{% set n = namespace() %}{% set n._x = 1 %}",
        "{{ range(10**6) }}",
        "{{ 1 / 0 }}",
        "{{ messages[0].content.x.y }}",
        "{{ none + 1 }}",
    ],
)
def test_what_the_sandbox_of_transformers_refuses_is_refused(source):
    """Where it refuses by rendering nothing, so is it here."""
    try:
        expected = theirs(source, ASK, {})
    except Exception:
        with pytest.raises(CheckpointError, match="chat template"):
            encode_chat(with_template(source), ASK)
    else:
        assert ours(source, ASK, {}) == expected


# Bounds


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Bounds that are soon passed."""
    helper = Helper(template.RENDERER.program, memory=2**28, longest=2**16)
    monkeypatch.setattr(template, "RENDERER", helper)
    monkeypatch.setattr(template, "SECONDS", 0.5)
    yield
    helper.close()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            "{% for a in range(9**5) %}{% for b in range(9**5) %}{% endfor %}{% endfor %}",
            "within 0.5 seconds",
        ),
        ("{% if messages[0].content == 'Hello' %}{{ 9 ** (9 ** 9) }}{% endif %}", "within 0.5 seconds"),
        ("{{ messages[0].content * 2 ** 30 }}", "with at most 268435456 bytes of memory"),
        ("{{ messages[0].content * 2 ** 16 }}", "in at most 65536 bytes"),
    ],
)
@pytest.mark.usefixtures("small")
def test_a_template_that_does_not_end_or_grows_is_ended(source, words):
    with pytest.raises(
        InvalidRequest, match=f"a conversation that the chat template renders {words}"
    ) as caught:
        encode_chat(with_template(source), ASK)
    assert caught.value.param == "messages"
    assert encode_chat(with_template("{{ messages[0].content }}"), ASK) == [*b"Hello"]


# Errors


RAISING = "{% for m in messages %}{{ raise_exception('not ' ~ m.content) if m.role == 'system' else m.content }}{% endfor %}"


def test_a_refusal_of_the_template_is_told_in_the_user_s_own_words():
    """<eos> is a control token, so its text goes to the template behind a stand-in."""
    messages = [{"role": "system", "content": "<eos> é"}, *ASK]
    with pytest.raises(InvalidRequest, match=r"accepts \(it says: not <eos> é\)") as caught:
        encode_chat(with_template(RAISING), messages)
    assert caught.value.param == "messages"
    assert "'<eos> é'" in str(caught.value)
    assert encode_chat(with_template(RAISING), ASK) == [*b"Hello"]


@pytest.mark.parametrize("form", ["m", "m | tojson", "m | tojson(ensure_ascii=true)", "[m.content] | string"])
def test_literals_are_in_the_user_s_own_words_too(form):
    message = {"role": "user", "content": "<eos>"}
    with pytest.raises(InvalidRequest, match="<eos>"):
        encode_chat(with_template(f"{{% set m = messages[0] %}}{{{{ raise_exception({form}) }}}}"), [message])
    source = f"{{% set m = messages[0] %}}{{{{ {form} }}}}"
    text = bytes(encode_chat(with_template(source), [message])).decode()
    assert text == theirs(source, [message], {})


def test_a_long_refusal_is_cut():
    with pytest.raises(InvalidRequest) as caught:
        encode_chat(
            with_template("{{ raise_exception(messages[0].content) }}"), [{**ASK[0], "content": "x" * 10**5}]
        )
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages[1].content + 1 }}",
        "{{ messages[0].content / 2 if messages[0].content != 'a' }}",
        "{{ messages[0].name.first }}",
        "{% for m in messages %}{{ m.content['x'].y if m.content == 'Hello' }}{% endfor %}",
    ],
)
def test_a_template_that_fails_on_some_messages_refuses_these(source):
    """That it does not fail on others is seen from a message 'a'; what fails there, too, is broken."""
    try:
        encode_chat(with_template(source), [{"role": "user", "content": "a"}])
    except CheckpointError:
        expected = CheckpointError
    else:
        expected = InvalidRequest
    with pytest.raises(expected, match="chat template"):
        encode_chat(with_template(source), ASK)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("\n{% endfor %}", "line 2: .*endfor"),
        ("{{ messages[0].content.x.y }}", "has no attribute 'x'"),
        ("{{ ['a', 'b'] | random }}", "at random"),
        ("{{ lipsum() }}", "at random"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion"),
    ],
)
def test_a_template_that_renders_nothing_is_the_checkpoint_s_fault(source, words):
    with pytest.raises(CheckpointError, match=f"tokenizer: chat template, .*{words}"):
        encode_chat(with_template(source), ASK)


# The clock, and what a request says


def test_what_is_read_of_the_clock_is_told_and_can_be_pinned():
    tokenizer = with_template(
        "{{ strftime_now('%d %b %Y') }}|{{ strftime_now('%H') }}|{{ strftime_now('%H') }}"
    )
    prompt = chat_prompt(tokenizer, ASK, now=NOON)
    assert bytes(prompt.ids) == b"02 Jan 2026|12|12"
    assert prompt.read == {"%d %b %Y": "02 Jan 2026", "%H": "12"}
    again = chat_prompt(tokenizer, ASK, variables={"strftime_now": prompt.read}, now=datetime(2031, 5, 6, 7))
    assert (again.ids, again.read) == (prompt.ids, {})
    partly = chat_prompt(tokenizer, ASK, variables={"strftime_now": {"%H": "x"}}, now=NOON)
    assert (bytes(partly.ids), partly.read) == (b"02 Jan 2026|x|x", {"%d %b %Y": "02 Jan 2026"})


def test_a_template_that_reads_no_clock_tells_none():
    assert chat_prompt(with_template(TEMPLATES["llama-3"]), ASK).read == {}
    given = {"date_string": "01 Jan 2026", "date": "x"}
    prompt = chat_prompt(with_template(TEMPLATES["date"]), ASK, variables=given)
    assert (prompt.read, prompt.unknown) == ({}, ("date",))


def test_variables_are_text_too():
    """What looks like a control token in them stays text, in the names of inner objects, too."""
    tokenizer = with_template(
        "{{ a }}{% for key, value in b.items() %}{{ key }}{{ value[0] }}{% endfor %}<eos>"
    )
    ids = encode_chat(tokenizer, ASK, variables={"a": "<eos>", "b": {"<bos>": ["<eos>", 1]}})
    assert ids == [*b"<eos><bos><eos>", tokenizer.eos_token_id]
    parsed = encode_chat(tokenizer, ASK, variables={"a": "<eos>", "b": {}}, parse_control_tokens=True)
    assert parsed == [tokenizer.eos_token_id] * 2


def test_a_variable_of_the_tokenizer_is_refused():
    with pytest.raises(InvalidRequest, match=r"chat_template_kwargs.eos_token: got 'x', must be left out"):
        encode_chat(with_template("{{ eos_token }}"), ASK, variables={"eos_token": "x"})


# Prefill


@pytest.mark.parametrize(
    "content", ["The capital", " The capital of ", "", "  ", "a\n\n", "<|eot_id|> x", "é<"]
)
@pytest.mark.parametrize("source", [TEMPLATES["llama-3"], TEMPLATES["date"], TEMPLATES["white space"]])
def test_a_final_message_is_continued_as_by_transformers(llama3_tokenizer, content, source):
    messages = [*ASK, {"role": "assistant", "content": content}]
    expected = llama3_tokenizer.apply_chat_template(
        messages, chat_template=source, continue_final_message=True, return_dict=False
    )
    before, llama3_tokenizer.chat_template = llama3_tokenizer.chat_template, source
    try:
        parsed = encode_chat(
            llama3_tokenizer, messages, continue_final_message=True, parse_control_tokens=True
        )
        kept = encode_chat(llama3_tokenizer, messages, continue_final_message=True)
    finally:
        llama3_tokenizer.chat_template = before
    assert parsed == expected
    assert (kept == expected) == ("<|eot_id|>" not in content)
    assert llama3_tokenizer.decode(kept) == llama3_tokenizer.decode(expected)


def test_the_beginning_of_an_answer_may_be_left_out(llama3_tokenizer):
    for generation in (True, False):
        expected = llama3_tokenizer.apply_chat_template(
            TALK, add_generation_prompt=generation, return_dict=False
        )
        assert encode_chat(llama3_tokenizer, TALK, add_generation_prompt=generation) == expected


def test_an_appended_message_is_tokenised_by_itself(llama3_tokenizer):
    """As SGLang has it: not trimmed, not joined with what is before."""
    before = encode_chat(llama3_tokenizer, ASK)
    for content in (" The ", "\n", "<|eot_id|>"):
        messages = [*ASK, {"role": "assistant", "content": content}]
        ids = encode_chat(
            llama3_tokenizer,
            messages,
            continue_final_message=True,
            append_final_message=True,
            parse_control_tokens=True,
        )
        assert ids == before + llama3_tokenizer.encode(content, add_special_tokens=False)


@pytest.mark.parametrize(
    "source",
    [
        "{% for m in messages %}{{ m.content[:3] }}{% endfor %}",
        "{% for m in messages %}{{ m.content | upper }}{% endfor %}",
        "{{ messages[0].content }}",
    ],
)
def test_a_template_that_does_not_show_the_final_message_can_not_continue_it(source):
    messages = [*ASK, {"role": "assistant", "content": "The capital"}]
    tokenizer = with_template(source)
    with pytest.raises(ValueError, match="final message does not appear"):
        tokenizer.apply_chat_template(messages, continue_final_message=True)
    with pytest.raises(InvalidRequest, match="does not show the final message to its end") as caught:
        encode_chat(tokenizer, messages, continue_final_message=True)
    assert caught.value.param == "continue_final_message"


def test_the_program_says_what_it_does_in_json():
    """In this process: the helper's outcome is a JSON value."""
    asked = {"template": "{{ strftime_now('%Y') }}", "variables": {"messages": []}, "pinned": {}}
    outcome = renderer.answer({**asked, "now": NOON.isoformat(), "given": ["a"]})
    assert json.loads(json.dumps(outcome)) == {"text": "2026", "read": {"%Y": "2026"}, "unknown": ["a"]}
