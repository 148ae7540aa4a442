"""Where checkpoints of the audit log are put out of the operator's reach: one port, one file per kind of place.

When that is done, and that it is written down, belongs to `procurement/anchoring.py`.
"""
