"""What exists for speed only: tested equal to the plain form, and chosen by one setting."""
