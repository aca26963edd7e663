"""torch.compile and CUDA graphs: where a graph is compiled, what guards it, what is captured."""
