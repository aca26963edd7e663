"""Exact answers from a few hundred candidates instead of a whole row.

The invariant: the candidates of a row are some of its most likely tokens, in the order of their ids, and behind them stands one
number, the remainder bound, which no other token is above. Every order-preserving stage does to the remainder at most what it
does to its bound. So once a stage masks the bound and keeps only tokens that were above it, the remainder is masked, and the
candidates are all that is left. What depends on the normalizer of the whole row is decided by bounds of it, in float arithmetic
with a margin: a row where they leave a doubt is not `certain`, and has to be resolved in full.
"""
