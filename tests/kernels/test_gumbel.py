"""The Gumbel rule against mpmath, the Philox of the oracle, and the distribution it must draw from."""

import math

import mpmath
import oracle
import pytest
import torch
from sampling_kernels.gumbel import gumbel_noise, gumbel_of_words, gumbel_sample
from scipy import stats

from sampling import draw

SEED = 2**63 + 12345
KEY = (SEED % 2**32, SEED >> 32)
SIGNED = SEED - 2**64


def exact_noise(u: int) -> float:
    v = mpmath.mpf(2 * u + 1) / 2**65
    return float(-mpmath.log(-mpmath.log(1 - v)))


def exact_row(position: int, choice: int, size: int) -> list[float]:
    words = [oracle.philox((token, position, choice, 1), KEY) for token in range(size)]
    return [exact_noise(w[1] * 2**32 + w[0]) for w in words]


@pytest.mark.parametrize("u", [0, 1, 2, 3, 2**32 - 1, 2**32, 2**53 + 1, 2**63, 3 * 2**62])
def test_noise_of_chosen_bits(u: int) -> None:
    """From the far upper tail (45.05 at u = 0, where float32 noise ends near 17) down.

    Near v = 1, whose tokens never win, float64 is coarser; that end is left out.
    """
    with mpmath.workdps(50):
        expected = exact_noise(u)
    got = gumbel_of_words(torch.tensor(u >> 32), torch.tensor(u % 2**32)).item()
    assert got == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_noise_is_finite_at_the_last_bits() -> None:
    assert math.isfinite(gumbel_of_words(torch.tensor(2**32 - 1), torch.tensor(2**32 - 1)).item())


def test_noise_at_the_last_bits_is_that_of_the_largest_double_below_one() -> None:
    """There v = 1 - 2^-53, whose noise is -ln(53 ln 2)."""
    got = gumbel_of_words(torch.tensor(2**32 - 1), torch.tensor(2**32 - 1)).item()
    assert got == pytest.approx(-math.log(53 * math.log(2)), rel=1e-12)


def test_noise_of_a_key() -> None:
    seed, position, choice = torch.tensor([SIGNED] * 2), torch.tensor([0, 7]), torch.tensor([3, 0])
    got = gumbel_noise(seed, position, choice, torch.arange(20)[None])
    with mpmath.workdps(50):
        expected = [exact_row(0, 3, 20), exact_row(7, 0, 20)]
    assert torch.allclose(got, torch.tensor(expected, dtype=torch.float64), rtol=1e-11, atol=1e-11)


def test_noise_belongs_to_the_token_and_not_to_its_place() -> None:
    one = torch.ones(1, dtype=torch.int64)
    everything = gumbel_noise(one, one, one, torch.arange(1000)[None])
    some = torch.tensor([[999, 5, 500]])
    assert torch.equal(gumbel_noise(one, one, one, some), everything.gather(1, some))


def test_draw_takes_the_arg_max() -> None:
    torch.manual_seed(0)
    logits = 2 * torch.randn(30, 25)
    logits[:, ::4] = -math.inf
    with mpmath.workdps(50):
        noise = [exact_row(position, 1, 25) for position in range(30)]
    expected = [
        max(range(25), key=lambda t: row[t] + n[t]) for row, n in zip(logits.tolist(), noise, strict=True)
    ]
    assert draw(logits, seed=SEED, position=range(30), choice=1, rule="gumbel").tolist() == expected


def test_equal_scores_go_to_the_lowest_id() -> None:
    logits = torch.tensor([[1.0, 2.0, 2.0], [-math.inf, -math.inf, 0.0]])
    assert gumbel_sample(logits, torch.zeros(2, 3, dtype=torch.float64)).tolist() == [1, 2]


@pytest.mark.parametrize("best", range(5))
def test_a_row_alone_draws_every_token(best: int) -> None:
    logits = torch.zeros(1, 5)
    logits[0, best] = 1.0
    assert gumbel_sample(logits, torch.zeros(1, 5, dtype=torch.float64)).tolist() == [best]


def test_rows_without_meaning_get_an_id_of_the_row() -> None:
    logits = torch.tensor([[math.nan, 0.0, 1.0], [0.0, 1.0, 0.5]])
    broken, whole = gumbel_sample(logits, torch.zeros(2, 3, dtype=torch.float64)).tolist()
    assert 0 <= broken < 3
    assert whole == 1


def test_faulty_rows_draw_nothing() -> None:
    logits = torch.tensor([[0.0, math.nan], [0.0, math.inf], [-math.inf, -math.inf], [0.0, -math.inf]])
    assert draw(logits, seed=1, position=0, rule="gumbel").tolist() == [-1, -1, -1, 0]


def test_distribution() -> None:
    """Chi-square of 200,000 draws over 32 tokens; false-alarm rate 1e-6.

    Detects, with power above 0.99, a temperature of 0.97 served as 1 (noncentrality 176 at 31 degrees of freedom).
    """
    logits = torch.linspace(0, -8, 32)
    counts = torch.zeros(32, dtype=torch.int64)
    for start in range(0, 200_000, 20_000):
        tokens = draw(logits.expand(20_000, -1), seed=5, position=range(start, start + 20_000), rule="gumbel")
        counts += tokens.bincount(minlength=32)
    expected = 200_000 * logits.double().softmax(-1)
    assert stats.chisquare(counts.numpy(), expected.numpy()).pvalue > 1e-6
