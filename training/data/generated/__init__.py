"""Data sets made from a seed, a file each, with the equation and who proposed it."""
