"""Sensors: outside facts that start runs, and the automation of derived assets. Cadences stand in `schedules.py`."""
