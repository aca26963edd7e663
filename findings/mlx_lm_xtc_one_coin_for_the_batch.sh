#!/usr/bin/env bash
# mlx-lm 0.32.2 (mlx 0.32.4, CPU), sample_utils.make_sampler with xtc_probability.
# Guess: each row of a batch throws its own coin for XTC, as it draws its own token; the threshold may be any probability.
# Happens: one coin for all rows. At xtc_probability .5 a step of 64 rows is XTC in every row or in none, so the rows of a batch, and the
#        samples of one prompt in it, are not independent: 64 rows with masses .4 .3 .2 .1 and threshold .15 give, step by step, either no
#        token of the upper two or those of all 64 draws that fall there. (On average over steps the share is right, so that a test of
#        one row, or of the mean, does not see it.) With xtc_probability 1 all is as XTC's definition has it, ties included: every
#        token that equals the least likely one above the threshold stays. A threshold above one half is refused, though masses above one half exist.
# Version: mlx-lm 0.32.2, mlx 0.32.4. Source: these draws; the uniform number without a shape in apply_xtc.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check mlx==0.32.4 mlx-cpu==0.32.4 mlx-lm==0.32.2 numpy==2.4.6
cat > probe.py <<'PY'
import sys
import mlx.core as mx, numpy as np
from importlib.metadata import version
from mlx_lm.sample_utils import make_sampler

ROWS, STEPS = 64, 60

def drawn(masses, steps, **options):
    """Tokens [steps, ROWS], all rows of the same distribution."""
    mx.random.seed(7)
    logprobs = mx.array(np.log(np.array([masses] * ROWS, np.float32)))
    sampler = make_sampler(temp=1.0, **options)
    return np.array([np.array(sampler(logprobs)) for _ in range(steps)])

def check(claim, holds, seen):
    print(("as stated: " if holds else "CHANGED: ") + claim, "| seen:", seen)
    if not holds:
        sys.exit("the behaviour has changed: " + claim)

print("mlx-lm", version("mlx-lm"), "mlx", version("mlx"))
masses = [.4, .3, .2, .1]
upper = (drawn(masses, STEPS, xtc_probability=0.5, xtc_threshold=0.15) < 2).sum(axis=1)
# Independent coins: each of 3840 draws is one of the upper two with probability .35, and a step without any has probability .65^64 = 1e-12.
none = int((upper == 0).sum())
check("steps without any upper token and steps with 32 or more of 64, and nothing else", 15 <= none <= 45 and all(n == 0 or n >= 32 for n in upper), sorted(upper.tolist()))
check("the share over all steps tells nothing: about .35", .2 < upper.mean() / ROWS < .5, round(float(upper.mean() / ROWS), 3))
always = drawn(masses, 20, xtc_probability=1.0, xtc_threshold=0.15)
check("probability 1 leaves the least likely token above the threshold and those below", set(always.ravel().tolist()) == {2, 3}, set(always.ravel().tolist()))
tied = drawn([.3, .3, .3, .1], 20, xtc_probability=1.0, xtc_threshold=0.15)
check("three tokens tie above it: all stay", set(tied.ravel().tolist()) == {0, 1, 2, 3}, set(tied.ravel().tolist()))
try:
    drawn(masses, 1, xtc_probability=1.0, xtc_threshold=0.6)
    check("a threshold of .6 is refused", False, "taken")
except ValueError as error:
    check("a threshold of .6 is refused", True, error)
PY
venv/bin/python probe.py
