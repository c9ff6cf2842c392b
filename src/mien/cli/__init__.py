"""The command line: each command parses, calls one function, prints the result and sets the exit code."""
