"""Where the states of live sequences are kept."""
