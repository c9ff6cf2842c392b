"""Classical systems, which are fitted once without a training loop; one file each."""
