"""A sample of the comparison of the fast path with its twin; and that the script notices when either is wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from sampling_kernels import reference

import sampling.processors.truncation
import sampling.sampler.step
from benchmarks.exactness import __main__ as exactness
from sampling.dialects import DIALECTS

ROWS, LARGE_ROWS = 6_000, 100
FEW = 1_000


def test_no_row_differs_and_both_ways_are_taken() -> None:
    found = exactness.run(ROWS, LARGE_ROWS, seed=1, seconds=600)
    assert found["mismatches"] == []
    assert found["rows_with_mismatches"] == 0
    assert found["rows"] >= 0.99 * ROWS
    assert found["rows_at_128k_or_more"] >= 0.9 * LARGE_ROWS
    assert found["rows_decided_by_leading_tokens"] > 0.2 * ROWS
    assert found["rows_that_needed_whole_rows"] > 0.05 * ROWS
    assert found["dialects"].keys() == DIALECTS.keys()
    assert {line["kind"] for line in found["lines"]} == {"llm", "N(0,5)", "N(0,1)", "bf16"}


def one_less(original: Callable[..., Any]) -> Callable[..., Any]:
    """The token id or the rank before."""
    return lambda *arguments: (original(*arguments) - 1).clamp(min=0)


def halved(original: Callable[..., Any]) -> Callable[..., Any]:
    """Weights of which the largest is 2^42."""
    return lambda *arguments: original(*arguments) >> 1


def last_bit(original: Callable[..., Any]) -> Callable[..., Any]:
    """The next float32 instead of a log probability."""
    return lambda *arguments: torch.nextafter(original(*arguments), torch.tensor(1.0))


def half_the_share(original: Callable[..., Any]) -> Callable[..., Any]:
    """A nucleus of p / 2."""
    return lambda logits, mass, p, *bounds, **rules: original(logits, mass, p / 2, *bounds, **rules)


def never_in_doubt(original: Callable[..., Any]) -> Callable[..., Any]:
    """A rough decision that is taken for sure even where it is within rounding of a tie."""

    def decide(*arguments: Any, **rules: Any) -> tuple[torch.Tensor, torch.Tensor]:
        kept, sure = original(*arguments, **rules)
        return kept, torch.ones_like(sure)

    return decide


def second_id_first(original: Callable[..., Any]) -> Callable[..., Any]:
    """Alternatives with the first two swapped."""
    return lambda logits, k: original(logits, k)[:, [1, 0, *range(2, k)]]


BROKEN = [
    (reference, "inverse_cdf_sample", one_less, {"token"}),
    (reference, "weights", halved, {"kept set"}),
    (reference, "token_logprobs", last_bit, {"logprobs"}),
    (reference, "token_ranks", one_less, {"rank"}),
    (reference, "top_tokens", second_id_first, {"alternatives", "logprobs"}),
    (sampling.processors.truncation, "filter_top_p", half_the_share, {"kept set", "processed"}),
    (sampling.processors.truncation, "filter_top_p", never_in_doubt, {"kept set", "processed"}),
    (sampling.processors.truncation, "filter_min_p", never_in_doubt, {"kept set", "processed"}),
    (sampling.sampler.step, "run_on_full_rows", one_less, {"token"}),
]


@pytest.mark.parametrize(
    ("module", "name", "breaking", "fields"), BROKEN, ids=[f"{one[1]} {one[2].__name__}" for one in BROKEN]
)
def test_what_is_wrong_is_reported(
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    name: str,
    breaking: Callable[[Callable[..., Any]], Callable[..., Any]],
    fields: set[str],
) -> None:
    monkeypatch.setattr(module, name, breaking(getattr(module, name)))
    found = exactness.run(FEW, 0, seed=2, seconds=600)
    assert found["rows_with_mismatches"] > 0
    assert fields <= {field for one in found["mismatches"] for field in one["fields"]}


def test_a_mismatch_can_be_run_again_and_ends_the_script_with_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out = tmp_path / "exactness.json"
    monkeypatch.setattr(reference, "token_ranks", one_less(reference.token_ranks))
    monkeypatch.setattr(sys, "argv", ["", "--rows", "100", "--large-rows", "0", "--out", str(out)])
    with pytest.raises(SystemExit) as ended:
        exactness.main()
    assert ended.value.code == 1
    first = json.loads(out.read_text())["mismatches"][0]
    again = exactness.compare(first["kind"], first["V"], first["B"], first["seed"])
    assert first in json.loads(json.dumps(again["mismatches"]))
    case = exactness.random_case(first["kind"], first["V"], first["B"], first["seed"])
    assert repr(case.params[first["row"]]) == first["params"]
