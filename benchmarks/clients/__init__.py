"""Client libraries and the shortest call that the documentation of each shows."""
