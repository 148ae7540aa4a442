"""The analytical store: Parquet files and raw answers, each named by the SHA-256 of its bytes.

What a table's columns mean stands in `model/tables.py`; which asset holds which digest is Dagster's to know.
"""
