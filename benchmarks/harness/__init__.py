"""What several themes use."""
