"""Tensor functions under the sampling step: integers where probability decides, no state, no parameters objects."""
