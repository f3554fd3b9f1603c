"""Bytes to and from the values of `core`, one package for each wire format.

Pure functions and push decoders; no wire imports another.

A new format is a folder here with limits, an encoder, a decoder and a stream decoder. Its name is added to
`core/content.py`, to `registry` and to the contract that no wire imports another, its path to
`gateway/models/routes.py`. What every format must do is tested by `tests/wire/harness.py`.
"""
