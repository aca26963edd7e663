"""Traces replayed: the rule that fits is found among all, and a token changed by hand at its place."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from vllm_draws import PROMPT, V, answer, written

from sampling.cli.main import main


def replayed(capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, dict[str, Any]]:
    code = main(["replay", *flags, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_the_rule_that_fits_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = replayed(capsys, *written(tmp_path, [1, 2**40, -7]))
    assert (code, told["rule"]) == (0, "vllm-0.33")
    best = told["rules"]["vllm-0.33"]
    assert (best["tokens"], best["as_said"], best["differing"]) == (90, 90, 0)
    others = [one for name, one in told["rules"].items() if name != "vllm-0.33"]
    assert all(one["log_e_value"] < -13 and one["tokens"] < 90 for one in others if not one["untried"])


def test_a_token_changed_by_hand_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = replayed(capsys, *written(tmp_path, [1, 2, 30], changed=[(1, 17)]))
    assert (code, told["rule"]) == (1, "vllm-0.33")
    best = told["rules"]["vllm-0.33"]
    assert best["differing"] == 1
    assert (best["first"]["record"], best["first"]["position"]) == (2, 17)
    assert best["first"]["recorded"] == (best["first"]["drawn"] + 1) % V


def test_tokens_of_no_rule_fit_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = replayed(capsys, *written(tmp_path, [1, 2]), "--rule", "gumbel")
    assert (code, told["rule"]) == (2, None)


def test_neighbouring_seeds_are_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = written(tmp_path, [9, 10])
    trace = Path(flags[0])
    first, second = trace.read_text().splitlines()
    told = json.loads(second)
    # the same tokens: choice 1 of seed 9 is choice 0 of seed 10
    told["params"]["seed"], told["choice"] = 9, 1
    trace.write_text("\n".join([first, second, json.dumps(told)]))
    _, report = replayed(capsys, *flags)
    assert report["rules"]["vllm-0.33"]["as_said"] == 90
    assert any("share noise" in note for note in report["notes"])


@pytest.mark.parametrize(
    ("fields", "flags", "words"),
    [
        ({"logits": "elsewhere"}, [], "record 1.logits: got 'elsewhere'"),
        ({"logits": None}, [], "record 1.logits: got None"),
        ({"params": {}}, ["--rule", "vllm-0.33"], "record 1.seed: got None"),
        ({"prompt_ids": None}, ["--rule", "vllm-0.33"], "record 1.prompt_ids: got None"),
        ({"prompt_ids": [1, 60]}, [], "record 1.prompt_ids: got 60, must be token ids below 60"),
        ({}, ["--rule", "nothing"], "rule: got 'nothing'"),
        ({}, ["--dtype", "float32"], "dtype: got 'float32'"),
        ({}, ["--logit-error", "-1"], "logit_error: got -1"),
    ],
)
def test_what_a_replay_lacks_is_named(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    fields: dict[str, Any],
    flags: list[str],
    words: str,
) -> None:
    assert main(["replay", *written(tmp_path, [1], **fields), *flags]) == 2
    assert words in capsys.readouterr().err


def test_a_trace_that_lacks_what_some_rules_need_is_tried_by_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, told = replayed(capsys, *written(tmp_path, [1], params={}))
    assert "seed" in told["rules"]["vllm-0.33"]["untried"]
    assert not told["rules"]["sglang-0.5.23"]["untried"]


@pytest.mark.parametrize("rule", ["auto", "vllm-0.33"])
@pytest.mark.parametrize(
    ("logits", "words"),
    [
        (torch.zeros(30, V, dtype=torch.float64), "record 1.logits: got torch.float64"),
        (torch.zeros(30, V, dtype=torch.int32), "record 1.logits: got torch.int32"),
        (torch.zeros(30, 0), "record 1.logits: got (30, 0)"),
        (torch.full((30, V), torch.nan), "record 1.logits: got 'row 0 with NaN"),
        (torch.zeros(30, 1), "record 1.token_ids: got"),
    ],
)
def test_logits_that_no_rule_can_be_tried_with_are_one_error(
    logits: torch.Tensor, words: str, rule: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = written(tmp_path, [1])
    save_file({"of 0": logits}, tmp_path / "logits.safetensors")
    assert main(["replay", *flags, "--rule", rule]) == 2
    told = capsys.readouterr()
    assert words in told.err
    assert not told.out


def test_a_device_beside_a_file_of_logits_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", *written(tmp_path, [1]), "--device", "cpu"]) == 2
    assert "device: got 'cpu', must be left out" in capsys.readouterr().err


def test_a_choice_that_no_rule_can_have_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", *written(tmp_path, [1], choice=2**32)]) == 2
    assert "line 1.choice: got 4294967296" in capsys.readouterr().err


def test_a_trace_as_written_before_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the fields that there were: no request order, no kept sets."""
    logits, tokens = answer(1)
    old = {
        "prompt_ids": PROMPT,
        "token_ids": tokens,
        "params": {"seed": 1},
        "logprob_mode": "raw",
        "log_normalizers": None,
        "logprobs": None,
        "engine": "vllm",
        "version": "0.33",
        "model": "",
        "choice": 0,
        "finish_reason": None,
        "logits": "a",
        "top_logprobs": [[] for _ in tokens],
    }
    (tmp_path / "t").write_text(json.dumps(old))
    save_file({"a": logits}, tmp_path / "l")
    code, told = replayed(capsys, str(tmp_path / "t"), "--logits", str(tmp_path / "l"))
    assert (code, told["rule"], told["rules"]["vllm-0.33"]["as_said"]) == (0, "vllm-0.33", 30)


def test_unseeded_and_greedy_records_do_not_stop_a_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = written(tmp_path, [1, 2, 3])
    trace = Path(flags[0])
    lines = [json.loads(line) for line in trace.read_text().splitlines()]
    lines[0]["params"] = {}
    logits, _ = answer(2)
    lines[1] |= {"params": {"temperature": 0}, "token_ids": logits.argmax(-1).tolist()}
    trace.write_text("\n".join(map(json.dumps, lines)))
    for named in ([], ["--rule", "vllm-0.33"]):
        code, told = replayed(capsys, *flags, *named)
        rule = told["rules"]["vllm-0.33"]
        assert (code, rule["tokens"], rule["as_said"], rule["greedy"]) == (0, 60, 60, 30)
        assert rule["left_out"] == [1]
        assert any(
            "vllm-0.33: records without a seed are left out, 1 in all" in note for note in told["notes"]
        )
    lines[1]["token_ids"][4] = (lines[1]["token_ids"][4] + 1) % V
    trace.write_text("\n".join(map(json.dumps, lines)))
    code, told = replayed(capsys, *flags)
    first = told["rules"]["vllm-0.33"]["first"]
    assert (code, told["rule"], first["record"], first["position"]) == (1, "vllm-0.33", 2, 4)


def test_batches_on_one_generator_are_replayed_in_their_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As torch itself draws them: three rows at a time, then two, of the generator that is seeded once."""
    flags = written(tmp_path, [7] * 5)
    trace = Path(flags[0])
    lines = [json.loads(line) for line in trace.read_text().splitlines()]
    logits, _ = answer(7)
    generator, before = torch.Generator().manual_seed(7), 0
    for batch in (lines[:3], lines[3:]):
        drawn = [
            row.softmax(-1).expand(len(batch), -1).multinomial(1, generator=generator)[:, 0].tolist()
            for row in logits
        ]
        for place, line in enumerate(batch):
            line |= {
                "token_ids": [step[place] for step in drawn],
                "draws_before": before + place,
                "rows": len(batch),
            }
        before += len(batch) * len(logits)
    trace.write_text("\n".join(map(json.dumps, lines)))
    code, told = replayed(capsys, *flags)
    assert (code, told["rule"], told["rules"]["transformers"]["as_said"]) == (0, "transformers", 150)
    lines[3] |= {"draws_before": 0}
    trace.write_text("\n".join(map(json.dumps, lines)))
    assert replayed(capsys, *flags)[1]["rules"]["transformers"]["first"]["record"] == 4


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kept": [[1]] * 30}, "line 1.kept.0: got '1 ids', must be a set that has the sampled token"),
        ({"kept": [[1]]}, "line 1.kept: got 1, must be as long as token_ids (30)"),
        ({"kept": [[1, 1]] * 30, "token_ids": [1] * 30}, "line 1.kept.0: got [1, 1]"),
        ({"rows": 0}, "line 1.rows: got 0"),
        ({"draws_before": -1}, "line 1.draws_before: got -1"),
        (
            {"params": {"seed": 1, "response_format": {"type": "json_object"}}},
            "record 1.response_format: got {'type': 'json_object'}",
        ),
    ],
)
def test_what_a_trace_cannot_have_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fields: dict[str, Any], words: str
) -> None:
    assert main(["replay", *written(tmp_path, [1], **fields), "--rule", "vllm-0.33"]) == 2
    assert words in capsys.readouterr().err


def test_the_page_has_a_row_for_each_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = written(tmp_path, [1, 2], changed=[(1, 17)])
    page = tmp_path / "page.html"
    code = main(["replay", *flags, "--html", str(page)])
    headline = capsys.readouterr().out.splitlines()[0]
    tokens = [token for seed in (1, 2) for token in answer(seed)[1]]
    names = ["record", "position", "verdict", "recorded", "the rule draws"]
    assert re.findall("<th(?: [^>]*)?>(.*?)</th>", page.read_text())[:5] == names
    rows = re.findall(r"<tr( id=\"first\")? class=\"(\w*)\">(.*?)</tr>", page.read_text())
    cells = [re.findall("<td.*?>(.*?)</td>", row) for _, _, row in rows]
    assert code == 1
    assert f"<h1>{headline}</h1>" in page.read_text()
    assert [tuple(cell[:2]) for cell in cells] == [(str(r), str(p)) for r in (1, 2) for p in range(30)]
    assert [int(cell[4]) for cell in cells] == tokens  # what the rule draws, though one was changed
    changed = 30 + 17
    assert [place for place, row in enumerate(rows) if row[:2] == (' id="first"', "differs")] == [changed]
    assert cells[changed][2:4] == ["differs", str((tokens[changed] + 1) % V)]
    assert {cell[2] for place, cell in enumerate(cells) if place != changed} == {"as the rule says"}
    assert not re.search("https?:|src=|<script", page.read_text())


def test_the_page_of_a_long_trace_says_what_it_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sampling.conformance.trace.judged.MOST", 20)
    page = tmp_path / "page.html"
    flags = written(tmp_path, [1, 2], changed=[(1, 17), (1, 20)])
    main(["replay", *flags, "--rule", "vllm-0.33", "--html", str(page)])
    assert "38 of 60 tokens are left out" in page.read_text()
    assert page.read_text().count('class="differs"') == 2


def test_a_draw_without_a_second_token_has_no_distance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = written(tmp_path, [1], params={"seed": 1, "top_k": 1})
    page = tmp_path / "page.html"
    assert main(["replay", *flags, "--rule", "vllm-0.33", "--json", "--html", str(page)]) == 2
    told = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert told["rules"]["vllm-0.33"]["first"]["distance"] is None
    assert "the only one that is left" in page.read_text()
    assert "inf" not in page.read_text()
