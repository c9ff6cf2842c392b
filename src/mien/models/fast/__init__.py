"""Faster implementations of the recurrence, attention and dropout, tested to equal the plain ones.

On a CPU, they are used unless the environment variable MIEN_FAST is 0.
"""
