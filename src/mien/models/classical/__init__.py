"""Systems that are fitted once, without a training loop, one file each."""
