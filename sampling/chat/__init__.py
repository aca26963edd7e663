"""Chat completions: requests, choices, responses."""
