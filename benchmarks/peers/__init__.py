"""Other servers with the same model: each a script for an environment of its own, its states kept by hand."""
