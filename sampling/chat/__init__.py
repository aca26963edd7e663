"""Chat completions: loading a model, requests, choices, responses."""
