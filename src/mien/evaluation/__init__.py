"""Evaluation: from Predictions to decisions to a Result. Thresholds and protocols are only here (docs/protocol.md)."""
