"""The cheapest joint placement of all pending orders, with a proved lower bound on what any placement must cost.

`problem` holds the question as columns; `questions` and `candidates` make it from tables, `plans` answers in tables.
`solver` finds the answer: `prices` and `knapsacks` bound the cost from below, `search` finds a `placement` that bounds
it from above, `milp` closes what is left between them. The mathematics stands in docs/concepts/allocation.md.

Costs are float64 US dollars here: they choose, nothing is paid by them.
"""
