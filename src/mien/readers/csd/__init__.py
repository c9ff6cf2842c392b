"""Reader `csd`: computational sequences of CMU-MultimodalSDK, such as CMU-MOSEI, aligned word by word."""
