"""What came of a run: a page to look at, a summary for the terminal, JUnit XML and JSON for other programs."""
