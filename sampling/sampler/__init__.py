"""The draw, and the sampler of a batch whose requests come and go."""

from sampling.sampler.sampler import SampleOutput, Sampler

__all__ = ["SampleOutput", "Sampler"]
