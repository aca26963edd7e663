"""Targets behind an OpenAI-compatible endpoint: a client, what is learnt about the model, and the checks."""
