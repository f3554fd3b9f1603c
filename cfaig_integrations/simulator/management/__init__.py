"""Everything that is asked over HTTP besides model calls: Cloudflare's management API, and `/_simulator/`.

Knows no dialect.
"""
