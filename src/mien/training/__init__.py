"""Training: from a split's columns to a trained system and its predictions. Nothing here reads the test split."""
