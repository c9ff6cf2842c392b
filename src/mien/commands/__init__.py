"""The commands for data sets and runs: import, train, evaluate, compare, predict and export."""
