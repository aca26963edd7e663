"""Whether the rules of the draw are those of the engines: their own code beside ours, token by token."""
