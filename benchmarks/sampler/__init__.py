"""The speed of one sampling step beside its peers."""
