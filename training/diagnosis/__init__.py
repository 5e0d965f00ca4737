"""Long-term dependencies, measured on a model: what its state keeps of what was, and what gradients find of it."""
