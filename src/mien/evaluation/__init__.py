"""Decisions and scores from Predictions. All code on thresholds and protocols is in this package (docs/protocol.md)."""
