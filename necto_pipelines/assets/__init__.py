"""Dagster assets, thin: ask a source or call a pure function, hand over the frame, say what a person would ask.

Decisions stand in the pure rooms, calls to the outside in `networks` and `market`. How a frame is kept and what is
recorded with it is `resources/parquet_io.py`; when assets are refreshed is `schedules.py` and `sensors/automation.py`.
"""
