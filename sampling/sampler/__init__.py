"""The draw, and the sampler of a batch whose requests come and go."""

from sampling.sampler.output import SampleOutput
from sampling.sampler.sampler import Sampler

__all__ = ["SampleOutput", "Sampler"]
