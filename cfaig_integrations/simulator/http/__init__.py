"""What an HTTP server does, and this one by hand: connections, captured requests, bytes sent at will, failure bodies.

Knows no model and no gateway.
"""
