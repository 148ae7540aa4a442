"""Simulated networks, price feeds and rails: a real HTTP server on loopback that speaks the real wire formats.

Nothing in this room is a market. Every provider, price, bid, lease, swap and balance here is made up from dated public
figures and a seed, every answer carries the header `x-necto-simulated: true`, and no money and no machine is involved.
The adapters that talk to it stand in `networks/` and `market/`; they do not know the difference, and that is the point.
"""
