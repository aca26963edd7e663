# What the adapter takes from lm-eval, which is not installed where the types are checked.
