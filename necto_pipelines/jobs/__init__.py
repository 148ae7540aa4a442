"""Jobs: the ops graphs of buying and settling, and the asset jobs. Thin: the use cases stand in `procurement`."""
