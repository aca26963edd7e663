"""Our model in lm-eval beside its own `hf` model on the built-in checkpoint: a task of choices, whole texts, greedy texts.

    python -m benchmarks.adapters.lm_eval_tasks

Writes benchmarks/results/adapters-lm_eval.json. Ends with 1 where a log likelihood differs by 1e-4 a token or more, or an
accuracy or a text differs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import lm_eval
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from benchmarks.harness.paths import RESULTS
from benchmarks.harness.timing import origin
from sampling import load
from sampling.adapters.lm_eval import ReferenceLM
from sampling.toy import CHECKPOINT
from sampling.toy.countries import COUNTRIES

MOST = 1e-4  # a token
TASK = """task: capitals
dataset_path: json
dataset_kwargs: {{data_files: {{test: {folder}/data.jsonl}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "The capital of {{{{country}}}} is"
doc_to_choice: choices
doc_to_target: gold
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
"""


TEXTS = ("The capital of Turkey is Ankara. " * 40, "Hello", "Name a fruit. A fig.")
PROMPTS = ("The capital of Turkey", "Name a", "Tell me about", "Hello")


def write_task(folder: Path, count: int) -> None:
    """Write a task of choices between capitals."""
    rows = [
        {
            "country": country.name,
            "choices": [f" {COUNTRIES[(place + step) % len(COUNTRIES)].capital}" for step in (7, 0, 19)],
            "gold": 1,
        }
        for place, country in enumerate(COUNTRIES[:count])
    ]
    (folder / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "capitals.yaml").write_text(TASK.format(folder=folder))


def asked(kind: str, *arguments: object) -> Instance:
    """A single request of lm-eval."""
    return Instance(request_type=kind, doc={}, arguments=arguments, idx=0)


def evaluated(lm: Any, count: int) -> dict[str, Any]:
    """What a model answers, as numbers and texts."""
    with tempfile.TemporaryDirectory() as name:
        write_task(Path(name), count)
        manager = TaskManager(include_path=name)
        result = lm_eval.simple_evaluate(
            model=lm, tasks=["capitals"], task_manager=manager, bootstrap_iters=0
        )
    samples = sorted(result["samples"]["capitals"], key=lambda sample: sample["doc_id"])
    greedy = [asked("generate_until", prompt, {"until": ["."], "max_gen_toks": 12}) for prompt in PROMPTS]
    return {
        "accuracy": result["results"]["capitals"]["acc,none"],
        "likelihoods": [found[0][0] for sample in samples for found in sample["resps"]],
        "choices": [choice for sample in samples for choice in sample["doc"]["choices"]],
        "rolling": lm.loglikelihood_rolling([asked("loglikelihood_rolling", text) for text in TEXTS]),
        "texts": lm.generate_until(greedy),
    }


def main() -> int:
    """Run and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=40)
    count = parser.parse_args().questions
    ours = ReferenceLM(load(None, dtype="float32"))
    theirs = HFLM(pretrained=str(CHECKPOINT), dtype="float32", device="cpu", batch_size=16)
    own, host = evaluated(ours, count), evaluated(theirs, count)
    lengths = [len(ours.tok_encode(choice, add_special_tokens=False)) for choice in own["choices"]]
    lengths += [len(ours.tok_encode(text)) for text in TEXTS]
    pairs = zip(
        own["likelihoods"] + own["rolling"], host["likelihoods"] + host["rolling"], lengths, strict=True
    )
    largest = max(abs(a - b) / length for a, b, length in pairs)
    result = {
        **origin("adapters.lm_eval_tasks", "lm_eval", "torch", "transformers"),
        "questions": count,
        "likelihoods": len(lengths),
        "largest_difference_a_token": largest,
        "accuracy": own["accuracy"],
        "accuracy_of_hf": host["accuracy"],
        "texts": len(own["texts"]),
        "texts_equal": sum(a == b for a, b in zip(own["texts"], host["texts"], strict=True)),
    }
    (RESULTS / "adapters-lm_eval.json").write_text(json.dumps(result, indent=1) + "\n")
    print({name: result[name] for name in [*result][5:]})
    right = result["accuracy"] == result["accuracy_of_hf"] and result["texts_equal"] == result["texts"]
    return int(not right or largest >= MOST)


if __name__ == "__main__":
    sys.exit(main())
