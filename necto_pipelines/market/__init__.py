"""Prices around the compute: clouds to compare with, tokens to pay in, rails that change one asset for another."""
