"""Serves the built models over gRPC, with the state of every client's sequence kept here."""

__version__ = "0.1.0"
