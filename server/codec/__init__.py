"""Between messages of the wire and arrays: every check that a request must pass before it is batched."""
