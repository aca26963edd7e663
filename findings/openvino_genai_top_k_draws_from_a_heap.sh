#!/usr/bin/env bash
# openvino-genai: in which order the candidates of a top_k lie when one of them is drawn.
# Guess: by falling probability, as after a sort, or by token id, as without a top_k; the draw walks along them until the sum of probabilities passes u.
# Happens: neither. They lie as the array of a binary min-heap does: the first k ids pushed one by one, and then, for each later id with a larger logit than
# the smallest one's, a pop and a push. So which token a seed draws depends on the logits of tokens that top_k has thrown out, in the order of their
# ids: swapping the logits of two tokens that cannot be drawn changes the draw. u is one word of std::mt19937 over 2^32, a token each. Whoever replays or compares
# seeded draws has to keep the logits before the truncation, and k.
# Version: openvino-genai 2026.4.1.0, CPU, on a Llama of chosen logits as GGUF. Seen by these draws; Python's heapq and NumPy's MT19937 stand for the C++.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install -q numpy==2.4.6 gguf==0.19.0 openvino==2026.4.1 openvino-tokenizers==2026.4.1.0 openvino-genai==2026.4.1.0 >pip.log 2>&1 || { cat pip.log; exit 2; }
cat > model.py <<'PY'
import gguf, numpy as np

V, H = 288, 64
ORDINARY = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
BYTES = [chr(code) for code in ORDINARY] + [chr(256 + place) for place in range(256 - len(ORDINARY))]

def write(path, logits):
    """A Llama whose states are all the first unit vector, and whose head has the logits for it."""
    head = np.zeros((V, H), np.float16)
    head[:, 0] = logits
    states = np.zeros((V, H), np.float16)
    states[:, 0] = 512
    flat = {"token_embd": states, "output": head, "blk.0.ffn_down": np.zeros((H, 2 * H), np.float16)}
    flat |= {f"blk.0.attn_{part}": np.zeros((H, H), np.float16) for part in ("q", "k", "v", "output")}
    flat |= {f"blk.0.ffn_{part}": np.zeros((2 * H, H), np.float16) for part in ("gate", "up")}
    flat |= {f"blk.0.{part}_norm": np.ones(H, np.float32) for part in ("attn", "ffn")} | {"output_norm": np.full(H, 0.125, np.float32)}
    file = gguf.GGUFWriter(path, "llama")
    for name, value in dict(block_count=1, context_length=1024, embedding_length=H, feed_forward_length=2 * H, head_count=2, head_count_kv=2, vocab_size=V, file_type=1,
                            layer_norm_rms_eps=1e-5, rope_freq_base=1e4, rope_dimension_count=H // 2).items():
        getattr(file, f"add_{name}")(value)
    file.add_tokenizer_model("gpt2"); file.add_tokenizer_pre("smollm"); file.add_token_merges(["Ġ Ġ"])
    file.add_token_list([*BYTES, *(f"<{place}>" for place in range(V - 257)), "ĠĠ"]); file.add_token_types([1] * 256 + [3] * (V - 257) + [1])
    file.add_bos_token_id(256); file.add_eos_token_id(257)
    for name, value in flat.items(): file.add_tensor(f"{name}.weight", value)
    file.write_header_to_file(); file.write_kv_data_to_file(); file.write_tensors_to_file(); file.close()
PY
cat > run.py <<'PY'
import heapq, sys
import numpy as np, openvino, openvino_genai
from model import V, write

def check(fact, saying):
    print(("as stated: " if fact else "CHANGED: ") + saying, flush=True)
    if not fact: sys.exit(1)

def loaded(name, logits):
    write(name, logits)
    return openvino_genai.LLMPipeline(name, "CPU", INFERENCE_PRECISION_HINT="f32", INFERENCE_NUM_THREADS=1)

def drawn(pipe, seed, count, k):
    config = openvino_genai.GenerationConfig()
    config.do_sample, config.rng_seed, config.top_k, config.max_new_tokens, config.ignore_eos = True, seed, k, count, True
    config.set_eos_token_id(257)
    return list(pipe.generate(openvino.Tensor(np.array([[256]], np.int64)), config).tokens[0])

class Candidate:
    """Compared by its logit alone, so that of equal ones a heap takes whichever stands where it looks."""
    def __init__(self, token, logit): self.token, self.logit = token, logit
    def __lt__(self, other): return self.logit < other.logit

def in_a_heap(logits, k):
    heap = []
    for one in map(Candidate, range(V), logits.tolist()):
        if len(heap) == k and not heap[0] < one: continue
        if len(heap) == k: heapq.heappop(heap)
        heapq.heappush(heap, one)
    return [one.token for one in heap]

ORDERS = {
    "a heap's array": in_a_heap,
    "falling probability": lambda logits, k: np.argsort(-logits, kind="stable")[:k].tolist(),
    "token ids": lambda logits, k: sorted(np.argsort(-logits, kind="stable")[:k].tolist()),
}

def walked(logits, seed, count, k, order):
    tokens, words = ORDERS[order](logits, k), np.random.MT19937()
    words._legacy_seeding(seed)
    weights = np.exp(logits[tokens].astype(float) - logits.max())
    ends = (weights / weights.sum()).cumsum()
    return [tokens[min(np.searchsorted(ends, int(words.random_raw()) / 2**32), k - 1)] for _ in range(count)]

logits = np.full(V, -20, np.float16).astype(np.float32)
logits[20:60] = (np.random.default_rng(3).permutation(40) / 16).astype(np.float16)  # forty different ones, not in order
pipe, seeds, count = loaded("probe.gguf", logits), (1, 7, 42), 40
for k in (5, 12):
    got = [token for seed in seeds for token in drawn(pipe, seed, count, k)]
    right = {order: sum(a == b for a, b in zip(got, (token for seed in seeds for token in walked(logits, seed, count, k, order)))) for order in ORDERS}
    check(right["a heap's array"] == len(got) and max(right["falling probability"], right["token ids"]) < 0.6 * len(got), f"top_k {k}: tokens that each order says, of {len(got)}: {right}")
other, k = logits.copy(), 12
outside = [token for token in range(20, 60) if token not in in_a_heap(logits, k)]
other[outside] = logits[outside[::-1]]  # the tokens that cannot be drawn change their logits among each other
check(in_a_heap(other, k) != in_a_heap(logits, k) and sorted(in_a_heap(other, k)) == sorted(in_a_heap(logits, k)), f"the {len(outside)} tokens outside of the top {k} change their logits: the same tokens are kept")
here, there = drawn(pipe, 7, count, k), drawn(loaded("other.gguf", other), 7, count, k)
check(here != there and there == walked(other, 7, count, k, "a heap's array"), f"and of {count} tokens of the same seed {sum(a != b for a, b in zip(here, there))} are others")
PY
OMP_NUM_THREADS=1 venv/bin/python run.py
