"""The decode loop: prompts into the cache, one step of the model and the sampler at a time."""
