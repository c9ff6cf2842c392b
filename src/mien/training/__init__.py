"""From a split's columns to a trained system and its predictions. Nothing here can reach the test split by itself."""
