"""Measurements and proofs, a folder for each theme; run from the root of the repository, as `python -m benchmarks.sampler`."""
