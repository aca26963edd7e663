"""A catalogue of wrong samplers: what the checks must notice, each by the check that is made for it."""

from conformance.faulty import (
    bias,
    output,
    penalties,
    randomness,
    reported,
    temperature,
    truncation,
)
from conformance.faulty.sampler import Mutant, catalogue

__all__ = ["MUTANTS", "Mutant"]

MUTANTS = catalogue(
    reported.MUTANTS,
    temperature.MUTANTS,
    truncation.MUTANTS,
    penalties.MUTANTS,
    bias.MUTANTS,
    randomness.MUTANTS,
    output.MUTANTS,
)
