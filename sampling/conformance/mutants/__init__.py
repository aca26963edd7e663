"""A catalogue of wrong samplers: what the checks must notice, each by the check that is made for it."""

from sampling.conformance.mutants import (
    bias,
    output,
    penalties,
    randomness,
    reported,
    temperature,
    truncation,
)
from sampling.conformance.mutants.mutant import Mutant, catalogue

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
