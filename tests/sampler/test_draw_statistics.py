"""Are the draws distributed as the weights say? Every key is fixed, so a run either always passes or never does.

Each trial pairs the draw with one faulty sampler that the same test must reject. What a test notices, it notices with
probability 0.99; a correct draw fails, had the seed been chosen at random,

- in chi-square tests once in 10^6 times. 10^6 draws show an error of 1.0% over 32 tokens and of 3.1% over 128256 tokens
  in a Zipf distribution (root mean square of the relative error, weighted by probability), which is a temperature off by 0.9%;
  the Gumbel rule, whose noise is dear, draws a quarter of that, which shows 2.0% over 32 tokens;
- in races, which count unlikely tokens, once in 100 times. 10^6 draws by the integer rule, where all tokens but one have
  probabilities from 10^-10 to 10^-8, show 29% too few or 34% too many; 256 draws by the Gumbel rule, where the tail holds a
  tenth, show a third of what there should be, or more than twice as much;
- in kept sets never. 10^6 draws show a token outside, if such tokens have a probability of 5 in 10^6; a quarter, of 2 in 10^5.

`benchmarks/exactness/draw_statistics.py` does the same with 10^8 draws, and says what those detect.
"""

from __future__ import annotations

import mpmath
import oracle
import pytest
import torch
from draw_trials import (
    Rule,
    Trial,
    distribution,
    head_and_tail,
    integer_trials,
    truncations,
    verdicts,
    wide_gumbel_trials,
)
from sampling_kernels.inverse_cdf import inverse_cdf_sample
from scaled_draws import (
    SEED,
    VOCABULARY,
    blocks,
    by_coarse_gumbel,
    by_gumbel,
    by_weight,
    far_tail,
    gumbels,
    keys,
    peaked,
    softmax,
    tally,
    uniforms,
    zipf,
)
from statistics_tools import ChiSquare, PoissonCount, Support, Verdict, chi_square

from sampling import History, TopP, chain, draw

DRAWS, WIDE_DRAWS = {"integer": 1_000_000, "gumbel": 250_000}, 256
Lines = dict[str, tuple[Trial, Verdict, Verdict]]


@pytest.fixture(scope="module")
def by_name() -> Lines:
    """Every trial with its two verdicts."""
    wide = gumbels(VOCABULARY)
    gumbel_trials = [
        distribution("peaked", peaked(), by_gumbel, DRAWS["gumbel"]),
        *truncations(peaked(), by_gumbel, 0.9),
    ]
    return {
        **named("integer", verdicts(uniforms, integer_trials(DRAWS["integer"]), blocks(DRAWS["integer"], 1))),
        **named("gumbel", verdicts(gumbels(32), gumbel_trials, blocks(DRAWS["gumbel"], 32))),
        **named("gumbel", verdicts(wide, wide_gumbel_trials(), blocks(WIDE_DRAWS, VOCABULARY))),
    }


def named(rule: str, lines: list[tuple[Trial, Verdict, Verdict]]) -> Lines:
    return {f"{rule}: {line[0].name}": line for line in lines}


@pytest.mark.parametrize(
    ("name", "detectable"),
    [
        ("integer: chi-square, peaked", 0.010),
        ("integer: chi-square, Zipf", 0.031),
        ("gumbel: chi-square, peaked", 0.020),
    ],
)
def test_distribution(by_name: Lines, name: str, detectable: float) -> None:
    """The faulty sampler's temperature is 1.016 (peaked; 1.032 by the Gumbel rule) or 1.017 (Zipf) in place of 1."""
    _, right, wrong = by_name[name]
    assert isinstance(right, ChiSquare)
    assert right.draws == DRAWS[name.partition(":")[0]]
    assert right.detectable_effect < detectable
    assert right.passed, right
    assert not wrong.passed


@pytest.mark.parametrize(
    ("name", "deficit", "excess"),
    [
        ("integer: race, far tail", 0.71, 1.34),
        ("integer: race, finest tail", 0.71, 1.34),
        ("gumbel: race, lead of 14", 0.2, 2.3),
    ],
)
def test_races_of_the_tail(by_name: Lines, name: str, deficit: float, excess: float) -> None:
    """The faulty samplers are float32 running sums, uniforms of 24 bits, and Gumbel noise from 16 bits.

    The second and third would do in a test of the mass of the tail; a uniform of 24 bits reaches one tail token in thirty.
    """
    _, right, wrong = by_name[name]
    assert isinstance(right, PoissonCount)
    assert right.false_alarm_rate <= 0.01
    assert right.detectable_deficit > deficit
    assert right.detectable_excess < excess
    assert right.passed, right
    assert not wrong.passed


@pytest.mark.parametrize("rule", ["integer", "gumbel"])
@pytest.mark.parametrize("which", ["TopP", "TopK", "MinP"])
def test_no_token_outside_the_kept_set(by_name: Lines, rule: str, which: str) -> None:
    """The faulty sampler keeps one token too many. The integer rule draws from 128256 tokens, the Gumbel rule from 32."""
    [(_, right, wrong)] = [
        line for name, line in by_name.items() if name.startswith(f"{rule}: kept set, {which}")
    ]
    assert isinstance(right, Support)
    assert right.draws == DRAWS[rule]
    assert right.detectable_effect < {"integer": 5e-6, "gumbel": 2e-5}[rule]
    assert right.outside == 0
    assert not wrong.passed


@pytest.mark.parametrize("rule", [by_weight, by_gumbel])
def test_what_is_kept_keeps_its_proportions(rule: Rule) -> None:
    """10^5 draws detect an error of 2.7%; the faulty sampler leaves out the least likely token of the kept ones."""
    kept = oracle.nucleus(peaked().tolist(), "0.9")
    probabilities = softmax(torch.tensor(oracle.keep(peaked().tolist(), kept)))
    truncated = chain(TopP(0.9))(peaked()[None], History.start([[]]))[0]
    crossing = truncated.masked_fill(truncated.isinf(), torch.inf).argmin()
    samplers = [rule(truncated), rule(truncated.index_fill(0, crossing, -torch.inf))]
    noise = uniforms if rule is by_weight else gumbels(32)
    right, wrong = tally(noise, samplers, [32, 32], blocks(100_000, 32))
    verdict = chi_square(right, probabilities)
    assert verdict.detectable_effect < 0.027
    assert verdict.passed, verdict
    assert not chi_square(wrong, probabilities).passed


def test_running_sums_of_small_weights() -> None:
    """10^5 draws over 5 tokens detect an error of 2.6%; the faulty samplers stop one unit too late, or one token too early."""
    w = torch.tensor([2, 3, 0, 1, 4])
    words = uniforms(*keys("position", 0, 100_000))
    r = (words[0] * 10) >> 32  # floor(u 10 / 2^64), but for one u in 2^32 / 10
    tokens = inverse_cdf_sample(w.expand(len(r), -1), *words)
    too_late = torch.searchsorted(w.cumsum(0), r)
    too_early = torch.searchsorted(w.cumsum(0) - w, r, right=True).clamp(max=4)
    right, late, early = (
        chi_square(drawn.bincount(minlength=5).numpy(), w.double().numpy() / 10)
        for drawn in (tokens, too_late, too_early)
    )
    assert right.detectable_effect < 0.026
    assert right.passed, right
    assert not late.passed
    assert not early.passed
    assert 2 not in tokens


# Of the first 2 * 10^7 positions of this seed, the ten at which another of 32 tokens beats one that leads by 18 nats.
RARE_WINNERS = {
    532994: 29,
    1490354: 15,
    2992774: 4,
    9694022: 31,
    10294731: 30,
    13907424: 14,
    17910159: 5,
    19039790: 12,
    19119338: 26,
    19455481: 31,
}


def exact_noise(token: int, position: int) -> mpmath.mpf:
    w = oracle.philox((token, position, 0, 1), (SEED, 0))
    with mpmath.workdps(50):
        v = mpmath.mpf(2 * (w[1] * 2**32 + w[0]) + 1) / 2**65
        return -mpmath.log(-mpmath.log(1 - v))


@pytest.mark.parametrize(("position", "winner"), RARE_WINNERS.items())
def test_the_rarest_winners(position: int, winner: int) -> None:
    """Positions at which the oracle, too, sees a token win that is 6 * 10^7 times less likely; no chance is involved here."""
    logits = head_and_tail(18, 32)
    scores = [logit + exact_noise(token, position) for token, logit in enumerate(logits.tolist())]
    assert max(range(32), key=scores.__getitem__) == winner
    assert draw(logits[None], seed=SEED, position=position, rule="gumbel").tolist() == [winner]


def test_noise_of_24_bits_misses_the_rarest_winners() -> None:
    """The faulty sampler of the same race with 10^8 draws."""
    logits = head_and_tail(18, 32)
    fixed = torch.full((len(RARE_WINNERS),), SEED)
    noise = gumbels(32)(fixed, torch.tensor(list(RARE_WINNERS)), torch.zeros_like(fixed))
    assert by_gumbel(logits)(noise).tolist() == list(RARE_WINNERS.values())
    assert (by_coarse_gumbel(logits, 24)(noise) == 0).sum() >= 7


@pytest.mark.parametrize("axis", ["position", "seed", "choice"])
def test_samplers_of_these_tests_are_the_draw(axis: str) -> None:
    """Running sums that are computed once give the tokens of `sampling.draw`."""
    for logits, rows in ((peaked(), 4000), (zipf(), 16), (far_tail(), 16)):
        seed, position, choice = keys(axis, 5, rows)
        tokens = draw(logits.expand(rows, -1), seed=seed, position=position, choice=choice)
        assert torch.equal(by_weight(logits)(uniforms(seed, position, choice)), tokens)
    seed, position, choice = keys(axis, 5, 4000)
    tokens = draw(peaked().expand(4000, -1), seed=seed, position=position, choice=choice, rule="gumbel")
    assert torch.equal(by_gumbel(peaked())(gumbels(32)(seed, position, choice)), tokens)
