"""Bytes to and from the values of `core`, one package for each wire format.

Pure functions and push decoders; no wire imports another.
"""
