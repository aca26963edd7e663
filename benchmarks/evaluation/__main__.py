"""lm-eval through `sampling serve` and on transformers, on one checkpoint: do they get the same?

    python -m benchmarks.evaluation --python ENVIRONMENT/bin/python [--model DIR]

ENVIRONMENT has `benchmarks/evaluation/requirements.txt`. Three tasks of this folder go through lm-eval's `local-completions`,
which sends token ids, in three ways. Beside that they go through its `hf`, on the same checkpoint. The log likelihood of each
continuation is compared per token. A fourth task is answered through `local-chat-completions`, and each answer compared with
that of `LanguageModel.chat`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.harness.paths import RESULTS
from benchmarks.harness.timing import origin
from benchmarks.soak.serving import served
from sampling import LanguageModel, load
from sampling.toy import CHECKPOINT

FOLDER = Path(__file__).parent
RESULT = RESULTS / "evaluation.json"
SCORED = ("capitals", "capitals_otherwise", "capitals_rolling")
CHAT = "capitals_chat"
NAME = "served"
# lm-eval's `remote` tokenizer never puts a BOS in front, its `huggingface` one where it is told to
FORMS: dict[str, dict[str, Any]] = {
    "the server's tokenizer": {"tokenizer_backend": "remote", "add_bos_token": False, "batch_size": 1},
    "the same, eight prompts a request": {
        "tokenizer_backend": "remote",
        "add_bos_token": False,
        "batch_size": 8,
    },
    "a BOS in front": {"tokenizer_backend": "huggingface", "add_bos_token": True, "batch_size": 1},
}
LIMIT = 1e-4  # nats a token
PATIENCE = 1800.0  # seconds until an evaluation counts as hanging
MOST_TOKENS = 24  # of an answer, as the task says

Told = dict[str, Any]


def evaluated(python: Path, model: str, arguments: dict[str, Any], *tasks: str) -> Told:
    """What lm-eval says of each task."""
    command = [str(python), str(FOLDER / "evaluate.py"), model, json.dumps(arguments), *tasks]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, timeout=PATIENCE)
    return json.loads(run.stdout.splitlines()[-1])


def likelihoods(answers: list[Any]) -> list[tuple[float, bool | None]]:
    """The log likelihood of each continuation, and whether it is what the model itself would say."""
    told = [answer for document in answers for request in document for answer in request]
    return [(one[0], one[1]) if isinstance(one, list) else (one, None) for one in told]


def continuations(name: str) -> list[str]:
    """The texts whose likelihoods a task asks for."""
    documents = map(json.loads, (FOLDER / "capitals.jsonl").read_text(encoding="utf-8").splitlines())
    if name == "capitals_rolling":
        return [f"The capital of {one['country']} is {one['choices'][one['answer']]}." for one in documents]
    return [f" {choice}" for one in documents for choice in one["choices"]]


def compared(name: str, ours: Told, theirs: Told, model: LanguageModel) -> Told:
    """Their metrics, and how far the log likelihoods of a task lie apart."""
    pairs = zip(likelihoods(ours["answers"]), likelihoods(theirs["answers"]), strict=True)
    counts = [
        len(model.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in continuations(name)
    ]
    apart = [
        (abs(one[0] - other[0]) / count, one[1] == other[1])
        for (one, other), count in zip(pairs, counts, strict=True)
    ]
    return {
        "metrics": ours["metrics"],
        "metrics_hf": theirs["metrics"],
        "continuations": len(apart),
        "tokens": sum(counts),
        "largest_difference_per_token": max(difference for difference, _ in apart),
        "greedy_told_differently": sum(not same for _, same in apart),
    }


def good(line: Told) -> bool:
    """Whether a task went as on transformers."""
    near = line["largest_difference_per_token"] < LIMIT and not line["greedy_told_differently"]
    of_choices = {key: value for key, value in line["metrics"].items() if key.startswith("acc")}
    return near and all(value == line["metrics_hf"][key] for key, value in of_choices.items())


def chatted(python: Path, url: str, model: LanguageModel) -> Told:
    """Answers through `local-chat-completions`, beside those of the library."""
    arguments = {"model": NAME, "base_url": f"{url}/v1/chat/completions", "max_retries": 1}
    told = evaluated(python, "local-chat-completions", arguments, CHAT)[CHAT]
    answers = [document[0][0] for document in told["answers"]]
    documents = map(json.loads, (FOLDER / "capitals.jsonl").read_text(encoding="utf-8").splitlines())
    expected: list[str] = []
    for one in documents:
        ask = [{"role": "user", "content": f"What is the capital of {one['country']}?"}]
        response = model.chat(ask, temperature=0, max_tokens=MOST_TOKENS, stop="\n")
        expected.append(response["choices"][0]["message"]["content"])
    same = sum(one == other for one, other in zip(answers, expected, strict=True))
    return {"metrics": told["metrics"], "answers": len(answers), "as_the_library_says": same}


def main() -> None:
    """Evaluate, compare, record; end with 1 where something differs."""
    parser = argparse.ArgumentParser(f"python -m {__package__}", description=__doc__.splitlines()[0])
    parser.add_argument("--python", type=Path, required=True, help="the environment's interpreter")
    parser.add_argument("--model", type=Path, help="a checkpoint; the built-in one if left out")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    measured = origin("evaluation", "torch", "transformers")
    model = load(options.model)
    folder = str(options.model or CHECKPOINT)
    flags = [] if options.model is None else ["--model", folder]
    lines: dict[str, Told] = {}
    with served("--served-model-name", NAME, *flags) as server:
        url = f"http://127.0.0.1:{server.port}"
        theirs: dict[bool, Told] = {}
        for form, arguments in FORMS.items():
            bos = arguments["add_bos_token"]
            if bos not in theirs:
                own = {"pretrained": folder, "device": "cpu", "dtype": "float32", "add_bos_token": bos}
                theirs[bos] = evaluated(options.python, "hf", own, *SCORED)
            asked = {"model": NAME, "base_url": f"{url}/v1/completions", "max_retries": 1, **arguments}
            asked |= {"max_length": model.model.config.max_position_embeddings}
            if arguments["tokenizer_backend"] == "huggingface":
                asked["tokenizer"] = folder
            ours = evaluated(options.python, "local-completions", asked, *SCORED)
            lines[form] = {name: compared(name, ours[name], theirs[bos][name], model) for name in SCORED}
            print(form, json.dumps(lines[form]), flush=True)
        chat = chatted(options.python, url, model)
        print(json.dumps(chat), flush=True)
    packages = (FOLDER / "requirements.txt").read_text(encoding="utf-8").split()
    result = {"limit_per_token": LIMIT, "scored": lines, "chat": chat, "packages": packages, **measured}
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    all_good = all(good(line) for form in lines.values() for line in form.values())
    sys.exit(not (all_good and chat["as_the_library_says"] == chat["answers"]))


if __name__ == "__main__":
    main()
