"""Render: its compute network Dispersed as a network of the port, and rendering jobs, which have no public API."""
