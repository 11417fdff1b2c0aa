"""Group commits of one lane: cutting bulks, reading their answers, and finding out what became of lost ones."""
