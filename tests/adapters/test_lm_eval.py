"""Our model in lm-eval's interface, where lm-eval is installed; benchmarks/adapters records it beside lm-eval's own model."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sampling import InvalidArgument, LanguageModel, load

pytest.importorskip("lm_eval")
from lm_eval.api.instance import Instance

from sampling.adapters.lm_eval import ReferenceLM


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return load(None, dtype="float32")


@pytest.fixture(scope="module")
def lm(model: LanguageModel) -> ReferenceLM:
    return ReferenceLM(model, seed=5)


def asked(kind: str, *arguments: Any) -> Instance:
    return Instance(request_type=kind, doc={}, arguments=arguments, idx=0)


def test_likelihoods_are_sums_of_the_models_own(model, lm):
    context, continuation = "The capital of Turkey", " is Ankara."
    [(found, greedy)] = lm.loglikelihood([asked("loglikelihood", context, continuation)])
    ids, length = model.tokenizer.encode(context + continuation), len(model.tokenizer.encode(context))
    rows = model.logits(ids)[length - 1 : -1].double().log_softmax(-1)
    assert found == pytest.approx(rows.gather(1, torch.tensor(ids[length:])[:, None]).sum().item(), abs=1e-4)
    assert greedy == (rows.argmax(-1).tolist() == ids[length:])


def test_whole_texts_count_each_token_once_after_what_begins_texts(model, lm):
    text = "The capital of Turkey is Ankara."
    [found] = lm.loglikelihood_rolling([asked("loglikelihood_rolling", text)])
    ids = model.tokenizer.encode(text)
    rows = model.logits([lm.prefix_token_id, *ids[:-1]]).double().log_softmax(-1)
    assert found == pytest.approx(rows.gather(1, torch.tensor(ids)[:, None]).sum().item(), abs=1e-3)


def test_greedy_texts_end_at_stop_strings(lm):
    wanted = {"until": ["."], "max_gen_toks": 20}
    assert lm.generate_until([asked("generate_until", "The capital of Turkey", wanted)]) == [" is Ankara"]
    wanted = {"until": [], "max_gen_toks": 2}
    [text] = lm.generate_until([asked("generate_until", "The capital of Turkey", wanted)])
    assert " is Ankara".startswith(text)


def test_repeated_requests_are_choices_of_one_seed(lm):
    wanted = {"until": [], "max_gen_toks": 6, "do_sample": True, "temperature": 1.9}
    requests = [asked("generate_until", "Name a", wanted)] * 4
    texts = lm.generate_until(requests)
    assert len({*texts}) > 1
    assert lm.generate_until(requests) == texts
    other = [asked("generate_until", "Name a", wanted | {"seed": 6})] * 4
    assert lm.generate_until(other) != texts


def test_a_parameter_that_is_not_there_is_refused(lm):
    with pytest.raises(InvalidArgument, match=r"generation_kwargs\.num_beams: got 4"):
        lm.generate_until([asked("generate_until", "Name a", {"num_beams": 4})])
