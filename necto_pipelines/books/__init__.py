"""The transactional store: orders, leases, money and the audit trail, each change written together with its leaf.

`books.py` is the way in. What the trail promises as mathematics stands in `audit`; what a step of buying does, in
`procurement`; tables for analysis, in `warehouse`.
"""
