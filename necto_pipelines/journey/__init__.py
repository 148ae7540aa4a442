"""The whole way from an empty home to a verified invoice, for `necto demo` and `necto up`."""
