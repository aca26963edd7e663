"""What `sampling verify` notices, and what it finds in real engines."""
