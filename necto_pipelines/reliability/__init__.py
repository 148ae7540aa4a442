"""How likely a lease at a provider is to last: pure functions on evidence and on the outcomes of our own leases.

Whether a provider may be bought from at all is compliance's to say; what a lost lease costs is routing's.
"""
