#!/usr/bin/env bash
# mlx 0.32.4 (CPU), mx.random.categorical.
# Guess: without num_samples it is the argmax of logits + Gumbel noise, whatever the shape; a row [V] and a batch of one row [1, V] draw the same.
# Reality: for [1, V] it inverts the cumulated softmax at one uniform of shape [1]; for [V], and for two rows and more, it takes Gumbel noise. mlx-lm
#   calls it with [1, V] for a single request and with more rows in a batch, so a second request changes not the numbers alone but the algorithm.
# Source: mlx, mlx/random.cpp; mlx_lm/sample_utils.py (categorical_sampling); seen here by its draws.
set -euo pipefail
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
export HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 PIP_DISABLE_PIP_VERSION_CHECK=1
python3 -m venv "$tmp/v"
"$tmp/v/bin/pip" install -q "mlx[cpu]==0.32.4" numpy==2.4.6
cd "$tmp"; "$tmp/v/bin/python" - <<'PY'
import sys
import mlx.core as mx, numpy as np

print("mlx", mx.__version__)
x = mx.array(np.random.default_rng(0).normal(size=320).astype(np.float32) * 2)
cdf = np.array(mx.cumsum(mx.softmax(x)))
counts = dict.fromkeys(("[1, V] inverse", "[1, V] Gumbel", "[V] Gumbel", "[2, V] Gumbel"), 0)
for seed in range(100):
    k = mx.random.key(seed)
    one = mx.random.categorical(x[None], key=k).item()
    counts["[1, V] inverse"] += one == int(np.searchsorted(cdf, mx.random.uniform(shape=(1,), key=k).item(), side="right"))
    counts["[1, V] Gumbel"] += one == mx.argmax(x + mx.random.gumbel((1, 320), key=k)).item()
    counts["[V] Gumbel"] += mx.random.categorical(x, key=k).item() == mx.argmax(x + mx.random.gumbel((320,), key=k)).item()
    counts["[2, V] Gumbel"] += bool((mx.random.categorical(mx.stack([x, x]), key=k) == mx.argmax(x + mx.random.gumbel((2, 320), key=k), axis=-1)).all())
print("of 100 keys:", counts)
if not (counts["[1, V] inverse"] >= 98 and counts["[1, V] Gumbel"] < 40 and counts["[V] Gumbel"] == counts["[2, V] Gumbel"] == 100):
    sys.exit("CHANGED: the shapes no longer draw so")
print("OK: one row in a batch is drawn by another algorithm than one row alone, or two")
PY
