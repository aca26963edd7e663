"""What each parameter of the API costs in tokens a second."""
