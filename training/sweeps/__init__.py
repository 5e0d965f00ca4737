"""Many trainings at once: which there are, the processes that do them, and what came of them."""
