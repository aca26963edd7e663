"""inspect-ai: a task of one sample, evaluated with a model of an OpenAI-compatible server."""

import json
import os
import sys
import tempfile

from inspect_ai import Task, eval  # noqa: A004 (its name)
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes

os.environ["LOCAL_API_KEY"], os.environ["LOCAL_BASE_URL"] = (
    os.environ["OPENAI_API_KEY"],
    os.environ["OPENAI_BASE_URL"],
)
task = Task(dataset=[Sample(input=sys.argv[1], target="Ankara")], scorer=includes())


def answer(**settings: float) -> str:
    """The completion of the one sample."""
    with tempfile.TemporaryDirectory() as folder:
        model = f"openai-api/local/{os.environ['MODEL']}"
        log = eval(task, model=model, log_dir=folder, display="none", **settings)[0]
        if log.status != "success":
            raise RuntimeError(log.error.message if log.error else log.status)
        return log.samples[0].output.completion  # read from the folder


print(json.dumps({"plain": answer(), "greedy": answer(temperature=0)}))
