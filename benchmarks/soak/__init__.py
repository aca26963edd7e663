"""Soak tests of the server: generated requests, many clients at once, clients that leave."""
