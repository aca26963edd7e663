"""The report of all results of speed."""
