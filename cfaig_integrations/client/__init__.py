"""The only I/O of the package: httpx lives here, and nowhere else.

Knows no wire format's fields and no framework: what to say, and when to say it again, comes from `gateway.exchange`.
"""
