"""Which sampling semantics an engine has: checks, targets, verdicts, reports."""
