"""Faster implementations, tested to be equal to the plain ones; one setting selects them."""
