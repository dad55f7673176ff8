"""What an author's prose says, checked against the numbers."""
