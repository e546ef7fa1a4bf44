"""What a newcomer gets to try Huiliu with: invented companies, each with content and systems of its own."""
