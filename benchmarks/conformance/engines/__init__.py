"""Samplers of other engines, each as a callable that `sampling.verify` can ask."""
