"""Functions that draw the figures of a benchmark with matplotlib. `draw.FIGURES` lists them."""
