"""The reference sampler for language models."""
