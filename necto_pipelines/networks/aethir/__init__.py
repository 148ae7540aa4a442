"""Aethir: what a rate card quotes, and a simulated tenant API. It publishes neither prices nor such an API."""
