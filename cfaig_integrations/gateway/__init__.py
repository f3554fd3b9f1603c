"""Everything that is Cloudflare's: settings, options, metadata, routes, what its headers say, and how it fails.

Pure: does no I/O, and knows no HTTP library, no wire format's fields and no framework.
"""
