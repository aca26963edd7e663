"""Log probabilities of given tokens for training: of the processed distribution, with gradients, by an engine's sets."""
