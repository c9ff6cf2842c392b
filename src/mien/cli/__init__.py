"""The command line: parse, call one function, render, set the exit code. Heavy imports happen inside the commands."""
