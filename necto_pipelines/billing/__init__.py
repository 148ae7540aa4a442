"""From a settled lease to the document a finance team books: usage, charges, invoices, files.

A pure room: rows and bytes in, rows and bytes out. What is kept, numbered and signed stands in `books`; what the
networks settled is read by their adapters.
"""
