"""Necto: institutional procurement of decentralised GPU compute, with a proof for every step."""

__version__ = "0.1.0"
