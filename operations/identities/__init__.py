"""What staff see of a customer's identities and do to them. Pages and API call the same parts, so both ask, check and write alike."""
