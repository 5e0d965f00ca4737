"""The main job on real text, as a new user would do it: `make demo`."""
