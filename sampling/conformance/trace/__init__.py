"""Recorded traces: their format, how they are recorded, and what they show."""
