"""What share of small changes to kernels and processors the tests notice."""
