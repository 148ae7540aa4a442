"""Which offer serves which order. Pure functions on tables: they fetch nothing and place nothing."""
