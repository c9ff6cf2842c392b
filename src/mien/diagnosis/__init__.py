"""`mien diagnose`: calibration, thresholds, abstention, weak groups and word errors."""
