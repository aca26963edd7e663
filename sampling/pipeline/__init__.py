"""Stages in an order: composing and tracing them, and the pipeline that requests ask for in a dialect."""
