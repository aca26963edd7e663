"""Adapters in their real hosts: the tokens are those of our own loop from the host's logits."""
