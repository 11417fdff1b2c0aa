"""What is wrong with a document, in words that its author understands, at its line and column."""
