"""An independent oracle: the documented definitions in plain Python, one row at a time.

Integers are Python's own, floats are Python's IEEE doubles, probabilities are Fractions, logarithms are mpmath's at 50
digits. Nothing here imports torch or the code under test. A row of logits is a list of floats that float32 can hold.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

import mpmath

mpmath.mp.dps = 50

INF = math.inf
MASK32, MASK64 = 2**32 - 1, 2**64 - 1


def f32(x: float) -> float:
    """The float32 nearest to a double, ties to even."""
    try:
        return struct.unpack("<f", struct.pack("<f", x))[0]
    except OverflowError:
        return math.copysign(INF, x)


def bits32(x: float) -> int:
    """The bits of a float32."""
    return struct.unpack("<I", struct.pack("<f", x))[0]


def from_bits32(bits: int) -> float:
    """The float32 with these bits."""
    return struct.unpack("<f", struct.pack("<I", bits))[0]


def philox(counter: Sequence[int], key: Sequence[int]) -> tuple[int, int, int, int]:
    """Philox-4x32-10 as in Salmon et al. 2011."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & MASK32, (p0 >> 32) ^ c3 ^ k1, p0 & MASK32
        k0, k1 = (k0 + 0x9E3779B9) & MASK32, (k1 + 0xBB67AE85) & MASK32
    return c0, c1, c2, c3


def uniform(seed: int, position: int, choice: int, rule: int = 0) -> int:
    """The u of the draw: 64 bits."""
    key = seed & MASK64
    w = philox((0, position, choice, rule), (key & MASK32, key >> 32))
    return (w[1] << 32) + w[0]


def weight(d: float) -> int:
    """round(2^43 ((K + d) / (K - d))^(3^11)), K = 2 3^11, by eleven cubings in double precision."""
    d = max(d, -45.0)
    pole = 354294.0
    power = (pole + d) / (pole - d)
    for _ in range(11):
        power = power * power * power
    return round(power * 8796093022208.0)


def weights(logits: Sequence[float]) -> list[int]:
    """Integer weights of a row."""
    maximum = max(logits)
    return [0 if x == -INF else weight(x - maximum) for x in logits]


def order(logits: Sequence[float], tie_break: str = "lowest_id") -> list[int]:
    """Token ids by logit descending, then by id."""
    sign = 1 if tie_break == "lowest_id" else -1
    return sorted(range(len(logits)), key=lambda i: (-logits[i], sign * i))


def share(p: str) -> int:
    """P = floor(p 2^62), p the decimal as written."""
    return math.floor(Fraction(p) * 2**62)


def nucleus(
    logits: Sequence[float],
    p: str,
    *,
    tie_break: str = "lowest_id",
    keep_ties: bool = False,
    stops_at_equality: bool = True,
) -> set[int]:
    """The shortest prefix whose weight reaches max(1, ceil(P Z / 2^62)); or passes P Z / 2^62.

    With ties all that equal the last of them, too.
    """
    ids = order(logits, tie_break)
    if Fraction(p) == 1:
        return set(ids)
    w = weights(logits)
    target = Fraction(share(p) * sum(w), 2**62)
    kept: list[int] = []
    for token in ids:
        mass = sum(w[i] for i in kept)
        enough = mass >= max(1, target) if stops_at_equality else mass > target
        if enough:
            break
        kept.append(token)
    return {i for i in ids if logits[i] >= logits[kept[-1]]} if keep_ties else set(kept)


def top_k(
    logits: Sequence[float], k: int, *, tie_break: str = "lowest_id", keep_ties: bool = False
) -> set[int]:
    """The first k; 0 keeps all; with ties all that equal the last of them, too."""
    ids = order(logits, tie_break)
    if k == 0 or k >= len(ids):
        return set(ids)
    if keep_ties:
        return {i for i in ids if logits[i] >= logits[ids[k - 1]]}
    return set(ids[:k])


def min_p(logits: Sequence[float], p: str, *, strict: bool = False) -> set[int]:
    """Those whose weight is at least P 2^43 / 2^62; or above (1 + 2^-23) of that, or the largest there is."""
    w, least = weights(logits), share(p)
    if not strict or least == 0:
        return {i for i in range(len(w)) if w[i] * 2**62 >= least * 2**43}
    return {i for i in range(len(w)) if w[i] * 2**19 > least + least // 2**23 or w[i] == 2**43}


def pick(w: Sequence[int], u: int) -> int:
    """The first token whose running sum exceeds floor(u Z / 2^64)."""
    r = u * sum(w) >> 64
    running = 0
    for token, one in enumerate(w):
        running += one
        if running > r:
            return token
    raise AssertionError("r < Z, so this is not reached")


def draw(logits: Sequence[float], seed: int, position: int, choice: int = 0) -> int:
    """The token of (seed, choice, position)."""
    return pick(weights(logits), uniform(seed, position, choice))


def softmax(logits: Sequence[float]) -> list[mpmath.mpf]:
    """The real softmax, at 50 digits."""
    maximum = max(logits)
    e = [mpmath.exp(mpmath.mpf(x) - mpmath.mpf(maximum)) if x > -INF else mpmath.mpf(0) for x in logits]
    total = mpmath.fsum(e)
    return [x / total for x in e]


def logprobs(logits: Sequence[float]) -> list[mpmath.mpf]:
    """The real log softmax, at 50 digits."""
    maximum = mpmath.mpf(max(logits))
    e = [mpmath.exp(mpmath.mpf(x) - maximum) for x in logits if x > -INF]
    log_normalizer = mpmath.log(mpmath.fsum(e))
    return [mpmath.mpf(x) - maximum - log_normalizer if x > -INF else -mpmath.inf for x in logits]


def entropy(probs: Iterable[mpmath.mpf]) -> mpmath.mpf:
    """In nats."""
    return -mpmath.fsum(p * mpmath.log(p) for p in probs if p > 0)


def keep(logits: Sequence[float], kept: set[int]) -> list[float]:
    """Ban all others."""
    return [x if i in kept else -INF for i, x in enumerate(logits)]


def add_bias(logits: Sequence[float], bias: Mapping[int, float]) -> list[float]:
    """Add biases: l + b."""
    return [f32(x + f32(bias[i])) if i in bias else x for i, x in enumerate(logits)]


def frequency(logits: Sequence[float], penalty: float, tokens: Iterable[int]) -> list[float]:
    """Penalise by count: l - f count."""
    counts = Counter(tokens)
    return [f32(x - f32(penalty) * counts[i]) if counts[i] else x for i, x in enumerate(logits)]


def presence(logits: Sequence[float], penalty: float, tokens: Iterable[int]) -> list[float]:
    """Penalise once: l - p."""
    seen = set(tokens)
    return [f32(x - f32(penalty)) if i in seen else x for i, x in enumerate(logits)]


def repetition(logits: Sequence[float], penalty: float, tokens: Iterable[int]) -> list[float]:
    """Penalise by sign: l / r above 0, l r otherwise."""
    seen, r = set(tokens), f32(penalty)
    return [f32(x / r if x > 0 else x * r) if i in seen else x for i, x in enumerate(logits)]


def temperature(logits: Sequence[float], t: float) -> list[float]:
    """Cool or heat: (l - max) / T; 1 changes nothing; 0 keeps the arg max alone, and nothing above 0 rounds to 0."""
    t = max(f32(t), from_bits32(1)) if t > 0 else 0.0
    if t == 1:
        return list(logits)
    if t == 0:
        return keep(logits, top_k(logits, 1))
    maximum = max(logits)
    return [f32((x - maximum) / t) for x in logits]


def by_qstash(
    logits: Sequence[float],
    request: Mapping[str, object],
    prompt: Sequence[int],
    output: Sequence[int],
    *,
    repetition_sees_prompt: bool = False,
) -> list[float]:
    """The default dialect's processed logits, in the order of the specification's table; penalties count the output."""
    get = request.get
    row = add_bias(logits, get("logit_bias", {}))
    row = repetition(
        row, get("repetition_penalty", 1.0), [*prompt, *output] if repetition_sees_prompt else output
    )
    row = frequency(row, get("frequency_penalty", 0.0), output)
    row = presence(row, get("presence_penalty", 0.0), output)
    row = temperature(row, get("temperature", 1.0))
    row = keep(row, top_k(row, get("top_k", 0)))
    row = keep(row, nucleus(row, str(get("top_p", 1.0))))
    return keep(row, min_p(row, str(get("min_p", 0.0))))
