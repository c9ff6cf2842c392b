"""Predictions -> decisions -> Result. Thresholds and protocols live only here (docs/protocol.md)."""
