"""Faster implementations of the recurrence, attention and dropout, tested to equal the plain ones.

The faster ones are used on a CPU, unless the environment variable MIEN_FAST is 0.
"""
