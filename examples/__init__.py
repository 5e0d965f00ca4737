"""The Python client in three small programs, run from the project's root."""
