"""The use cases of buying: submit, decide, fund, place, confirm, settle, invoice, trace.

What an op, a command and the console call. Nothing here knows Dagster; everything outside is reached through `Runtime`.
"""
