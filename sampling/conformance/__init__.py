"""Which sampling semantics has an engine? Checks, targets, verdicts and a report."""
