"""Speed, measured beside something: the tables that `make bench` prints."""
