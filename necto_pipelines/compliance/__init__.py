"""Which providers may be bought from, and why not. Pure: evidence and policy in, verdicts out."""
