# What the adapter takes from inspect-ai, which is not installed where the types are checked.
