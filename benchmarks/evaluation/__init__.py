"""Evaluation harnesses against `sampling serve`, beside their own models of the same weights."""
