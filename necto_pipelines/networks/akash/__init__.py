"""Akash through its Console API: wire shapes, SDL, prices and the adapter. Facts are as of 2026-11-22."""
