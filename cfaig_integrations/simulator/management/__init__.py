"""All other paths: Cloudflare's management API, and `/_simulator/`."""
