"""The memory of `sampling replay` on a trace of so many records: this module, run by itself, is the process that is watched.

python -m benchmarks.replay.memory FOLDER THREADS
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from benchmarks.harness import logits
from benchmarks.harness.paths import ROOT
from benchmarks.harness.timing import timed
from sampling.cli.main import main as command

TOKENS = 128  # of a record
INTERVAL = 0.005  # seconds between two looks


def memory_of(records: int, vocab: int, threads: int) -> dict[str, Any]:
    """Replay a trace in a process of its own; its tokens, its peak and its speed."""
    with tempfile.TemporaryDirectory() as folder:
        write_trace(Path(folder), records, vocab)
        watched = [sys.executable, "-m", "benchmarks.replay.memory", folder, str(threads)]
        ended = subprocess.run(watched, cwd=ROOT, capture_output=True, text=True, check=True)
    told = json.loads(ended.stdout)
    tokens = records * TOKENS
    return {
        "records": records,
        "tokens": tokens,
        "bytes_of_logits": 4 * tokens * vocab,
        "peak_bytes": told["peak_bytes"],
        "tokens_per_s": tokens / told["seconds"],
    }


def write_trace(folder: Path, records: int, vocab: int) -> None:
    """Write records of likeliest tokens, and their logits."""
    tensors: dict[str, torch.Tensor] = {}
    lines: list[str] = []
    for record in range(records):
        tensors[str(record)] = logits.make("llm", TOKENS, vocab, record)
        line = {
            "prompt_ids": [1, 2, 3],
            "token_ids": tensors[str(record)].argmax(-1).tolist(),
            "params": {"seed": record, "top_p": 0.9},
            "top_logprobs": [[]] * TOKENS,
            "engine": "none",
            "logits": str(record),
        }
        lines.append(json.dumps(line))
    (folder / "trace.jsonl").write_text("\n".join(lines))
    save_file(tensors, folder / "logits.safetensors")


def anonymous_bytes() -> int:
    """The memory of this process that is no file's."""
    found = re.search(r"RssAnon:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def peak_during(call: Callable[[], object]) -> tuple[int, float]:
    """The most memory beyond that at the beginning, and the seconds that the call takes."""
    before, done, seen = anonymous_bytes(), threading.Event(), [0]

    def watch() -> None:
        while not done.wait(INTERVAL):
            seen.append(anonymous_bytes() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    seconds = timed(call)
    done.set()
    watcher.join()
    return max(seen), seconds


def main() -> None:
    """Replay the trace of a folder and print what it took."""
    folder, threads = Path(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(threads)
    files = [str(folder / "trace.jsonl"), "--logits", str(folder / "logits.safetensors")]
    flags = ["replay", *files, "--rule", "vllm-0.33", "--json", str(folder / "report.json")]
    with redirect_stdout(sys.stderr):
        peak, seconds = peak_during(lambda: command(flags))
    print(json.dumps({"peak_bytes": peak, "seconds": seconds}))


if __name__ == "__main__":
    main()
