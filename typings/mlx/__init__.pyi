# What the adapter takes from mlx, which is not installed where the types are checked.
