"""The figures of a benchmark: numbers in, a matplotlib figure out. `draw.FIGURES` lists them."""
