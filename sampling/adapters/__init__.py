"""The sampler in other people's stacks: an adapter for each host, imported where it is used."""

from sampling.adapters.token_bitmask import TokenBitmask

__all__ = ["TokenBitmask"]
