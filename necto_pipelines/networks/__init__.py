"""Networks of compute: one port, one folder per network. Adapters fetch and place; they never decide."""
