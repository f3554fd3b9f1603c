"""Everything that is Cloudflare's: settings, options, metadata, routes, what its headers say, and how it fails.

Nothing here does I/O.
"""
