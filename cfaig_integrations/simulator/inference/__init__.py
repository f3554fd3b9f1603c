"""A model call from its arrival to its log entry.

Knows the order of things; the rules are the gateway's, the words the mind's, the format the dialects'.
"""
