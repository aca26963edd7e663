"""A report for readers: terminal, JUnit XML, one HTML page, and a paragraph of methods."""
