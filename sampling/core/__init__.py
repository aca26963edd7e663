"""What every layer uses: parameters and their checks, the history of a batch, errors, strict reading."""
