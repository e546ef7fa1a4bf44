"""Files that customers send: `kinds` says what they are, `records` keeps them."""
