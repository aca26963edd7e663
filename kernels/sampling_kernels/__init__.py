"""Functions of tensors: integers where probability decides; no state, nothing of requests."""
