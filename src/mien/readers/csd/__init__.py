"""Computational sequences of CMU-MultimodalSDK (.csd): CMU-MOSEI and its relatives, aligned word by word."""
