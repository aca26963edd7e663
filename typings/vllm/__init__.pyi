# What the adapter takes from vLLM, which is not installed where the types are checked.
