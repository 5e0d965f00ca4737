"""A message of the wire, generated from proto/; `make proto` writes it anew."""
