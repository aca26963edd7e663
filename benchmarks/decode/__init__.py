"""The speed of prefill and decode beside other engines."""
