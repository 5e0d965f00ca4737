"""The contract between training and serving, and the repository of built models."""
