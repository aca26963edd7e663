"""Engines that have loaded a probe: what they are asked, and what is found."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
import torch
from conformance.behind_probe import BehindProbe
from conformance.faulty import MUTANTS
from conformance.oracle_engine import OracleEngine
from conformance.proxy import Fields
from conformance.transports import SOON

from sampling import Probe, load, verify, write_probe
from sampling.chat.language_model import LanguageModel
from sampling.conformance.endings import CouldNotRun
from sampling.conformance.endpoint.client import Budget
from sampling.conformance.endpoint.transcript import Transcript
from sampling.conformance.probe.context import ProbeContext
from sampling.conformance.probe.endpoint import EndpointEngine, client_of
from sampling.conformance.probe.engine import FunctionEngine
from sampling.conformance.probe.identify import identify_probe
from sampling.conformance.probe.target import ProbeTarget
from sampling.conformance.report import Report
from sampling.conformance.semantics import Semantics
from sampling.conformance.verdict import Verdict
from sampling.core.errors import InvalidArgument
from sampling.dialects import DIALECTS

VOCAB = 1024
CHAT, TEXT = "http://endpoint/v1", "http://endpoint/v1/completions"
SHORT = (
    "temperature.zero",
    "truncation.crossing-token",
    "truncation.no-token-more",
    "randomness.seed-repeats",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("probe") / "checkpoint"
    write_probe(place, vocab=VOCAB)
    return place


@pytest.fixture(scope="module")
def probe(folder: Path) -> Probe:
    return Probe.read(folder)


@pytest.fixture(scope="module")
def model(folder: Path) -> LanguageModel:
    return load(folder)


def drawing(probe: Probe, name: str = "qstash", together: int = 16) -> OracleEngine:
    """An engine that samples as a dialect says."""
    return OracleEngine(probe, Semantics.of(DIALECTS[name]), together)


def verdicts(report: Report) -> set[Verdict]:
    return {finding.verdict for finding in report.checks.values()}


# -- Python functions -----------------------------------------------------------------------------------------------------


def test_a_dialect_is_identified_by_text_alone_in_few_requests(probe: Probe):
    """The right one is excluded with a chance of 2e-6; four choices a request, as llama.cpp's server gives them."""
    engine = FunctionEngine(drawing(probe, "llama.cpp", 4), probe)
    context = ProbeContext(ProbeTarget(engine, probe), Semantics.of(DIALECTS["qstash"]))
    context.reach()
    assert identify_probe(context).winners == ("llama.cpp",)
    assert context.requests <= 100


@pytest.mark.parametrize("prompts", ["ids", "text"])
def test_an_engine_that_samples_as_it_should_conforms(probe: Probe, prompts: str):
    """Each check has a false-alarm rate of 1e-6, and the seed is fixed."""
    draw = drawing(probe)

    def engine(prompt: Any, params: Fields, most: int, n: int, seed: int | None) -> Sequence[Any]:
        if prompts == "ids":
            return draw(prompt, params, most, n, seed)
        return [probe.text_of(choice) for choice in draw(probe.tokens_of(prompt), params, most, n, seed)]

    report = verify(engine, probe=probe, prompts=prompts, checks=[*SHORT, "penalties.repetition-sign"])
    assert verdicts(report) == {Verdict.CONFORMS}
    assert report.header.kind == "probe"
    assert any("requests were asked" in note for note in report.notes)


# Few and quick ones; `benchmarks/conformance/behind_probe.py` says what becomes of all.
FAULTY = ("choices-alike", "exact-hit-goes-on", "zero-temperature-samples")


@pytest.mark.parametrize("name", FAULTY)
def test_a_faulty_sampler_is_caught_behind_a_probe(probe: Probe, name: str):
    mutant = MUTANTS[name]
    report = verify(BehindProbe(mutant.make(), probe), probe=probe, checks=[mutant.caught_by])
    assert mutant.noticed(report.checks), report.checks


def test_what_checks_cannot_ask_without_biases_is_said(probe: Probe):
    report = verify(drawing(probe), probe=probe, checks=["bias.ban", "reported.mass"])
    assert verdicts(report) == {Verdict.NOT_TESTABLE}
    assert all(
        "without biases and log probabilities" in finding.evidence for finding in report.checks.values()
    )


def test_transformers_on_a_probe_conforms(folder: Path, probe: Probe):
    """Its own generate, which loads the checkpoint as any engine does."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)

    def generate(prompt: list[int], params: Fields, most: int, n: int, seed: int | None) -> list[list[int]]:
        torch.manual_seed(torch.seed() if seed is None else seed)
        given = dict(params)
        sampled = given.pop("temperature", 1.0)
        ids = torch.tensor([prompt])
        told = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=most,
            num_return_sequences=n,
            **({"do_sample": False} if sampled == 0 else {"temperature": float(sampled), "do_sample": True}),
            **given,
        )
        return told[:, len(prompt) :].tolist()

    report = verify(generate, "transformers", probe=probe, checks=["truncation.crossing-token"])
    assert verdicts(report) == {Verdict.CONFORMS}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda *_: "text", "got 'text', no list of 1 choices"),
        (lambda *_: [[1], [2]], r"got \[\[1\], \[2\]\], no list of 1 choices"),
        (lambda *_: [3], r"got \[3\], whose choices are no texts or lists of ids"),
        (lambda *_: [[]], "which is no text or list of ids, of 1 to 1 tokens"),
        (lambda *_: [[VOCAB]], "which is no text or list of ids, of 1 to 1 tokens"),
        (lambda *_: 1 / 0, "refused: ZeroDivisionError"),
    ],
)
def test_what_is_no_answer_is_said(probe: Probe, given: Callable[..., Any], words: str):
    with pytest.raises(CouldNotRun, match=f"the engine has no way to the arg max: .*{words}"):
        verify(given, probe=probe)


def test_a_checkpoint_that_did_not_arrive_is_said_before_anything_is_asked(probe: Probe):
    coarse = Probe(
        probe.logits.astype("float16").astype("float32"),
        probe.leads_to,
        probe.states,
        probe.texts,
        257,
        "float32",
    )
    engine = drawing(coarse)
    with pytest.raises(
        CouldNotRun, match=r"^the checkpoint did not arrive as it was written: .* rounded to float16$"
    ):
        verify(engine, probe=probe)


# -- endpoints ------------------------------------------------------------------------------------------------------------


def endpoint(probe: Probe, draw: OracleEngine, url: str = CHAT, **settings: Any) -> ProbeTarget:
    """The engine behind chat completions, or completions of text."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        fields = json.loads(request.content)
        assert request.url.path.endswith("/chat/completions") == (url == CHAT)
        prompt = fields.pop("messages")[0]["content"] if url == CHAT else fields.pop("prompt")
        most, n, seed = fields.pop("max_tokens"), fields.pop("n", 1), fields.pop("seed", None)
        del fields["model"]
        if (wrong := next((name for name in fields if name not in NAMES), None)) is not None:
            return refused(wrong)
        if n > draw.together or not 0 <= fields.get("temperature", 1) <= 2:
            return refused("n" if n > draw.together else "temperature")
        choices = draw(probe.tokens_of(prompt) or [0], fields, most, n, seed)
        texts = [probe.text_of(choice) for choice in choices]
        told = [{"message": {"content": text}} if url == CHAT else {"text": text} for text in texts]
        return httpx2.Response(200, json={"choices": [{**one, "finish_reason": "length"} for one in told]})

    given = {"model": "m", "patience": SOON, "transport": httpx2.MockTransport(answer), **settings}
    return ProbeTarget(EndpointEngine(client_of(url, **given), probe), probe)


NAMES = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
)


def refused(name: str) -> httpx2.Response:
    return httpx2.Response(400, json={"error": {"message": f"{name} is wrong"}})


@pytest.mark.parametrize("url", [CHAT, TEXT])
def test_an_endpoint_is_asked_for_text(probe: Probe, url: str):
    report = verify(endpoint(probe, drawing(probe), url), checks=[*SHORT, "temperature.range"])
    assert verdicts(report) == {Verdict.CONFORMS}


def test_this_librarys_answers_conform(probe: Probe, model: LanguageModel):
    """Its own chat completions on the checkpoint: tokenizer, template, model, sampling and text."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        try:
            return httpx2.Response(200, json=model.chat(**json.loads(request.content)))
        except InvalidArgument as error:
            return httpx2.Response(400, json={"error": {"message": str(error)}})

    client = client_of(CHAT, model="m", transport=httpx2.MockTransport(answer), parallel=1)
    report = verify(ProbeTarget(EndpointEngine(client, probe), probe), checks=["truncation.no-token-more"])
    assert verdicts(report) == {Verdict.CONFORMS}


def test_a_run_is_taken_up_again(probe: Probe, tmp_path: Path):
    file = tmp_path / "transcript"
    first = endpoint(probe, drawing(probe), transcript=Transcript(file, {"seed": 0}), budget=Budget(70))
    cut = verify(first, checks=SHORT)
    assert Verdict.INCONCLUSIVE in verdicts(cut)
    second = endpoint(probe, drawing(probe), transcript=Transcript(file, {"seed": 0}))
    assert verdicts(verify(second, checks=SHORT)) == {Verdict.CONFORMS}
    third = endpoint(probe, drawing(probe), transcript=Transcript(file, {"seed": 0}))
    verify(third, checks=SHORT)
    assert first.engine.client.budget.sent == 70
    assert third.engine.client.budget.sent == 0 < second.engine.client.budget.sent


def test_a_budget_is_kept(probe: Probe):
    target = endpoint(probe, drawing(probe), budget=Budget(20))
    with pytest.raises(CouldNotRun, match="budget"):
        verify(target, checks=SHORT)
    assert target.engine.client.budget.sent == 20


def test_what_is_found_does_not_depend_on_how_many_are_under_way(probe: Probe):
    one, eight = (verify(endpoint(probe, drawing(probe), parallel=n), checks=SHORT).checks for n in (1, 8))
    assert one == eight
