"""One module per command for data sets and runs: import, train, evaluate, compare, predict, export."""
