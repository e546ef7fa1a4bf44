"""What staff do for people who ask about the data that is kept about them."""
