"""What the generated parts of the pages say, each of one kind of thing in the code."""
