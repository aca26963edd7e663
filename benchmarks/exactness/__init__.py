"""Proofs that the fast path and the draw do what the definition says."""
