"""What is asked about people: who they are, what is known and agreed, what they may have; for staff and other systems."""
