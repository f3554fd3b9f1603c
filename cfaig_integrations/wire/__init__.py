"""Bytes to and from the values of `core`, one package for each wire format.

Pure functions and push decoders: knows no URL, no header of the gateway, no HTTP library and no framework, and no wire
imports another.
"""
