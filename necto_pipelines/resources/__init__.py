"""Dagster resources: thin handles on the runtime and the warehouse, and the lineage that they write and read."""
