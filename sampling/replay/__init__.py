"""Replay: what a rule of the draw must have sampled, token by token."""

from sampling.replay.tokens import ReplayedTokens, replay_tokens

__all__ = ["ReplayedTokens", "replay_tokens"]
