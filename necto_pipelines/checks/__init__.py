"""Asset checks: Great Expectations suites that buyers and auditors read, and invariants of our own.

Each check records the digest of the bytes it judged. Which assets may only be read after a check has passed on those
bytes is `GUARDS` in `resources/snapshots.py`.
"""
