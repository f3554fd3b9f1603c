"""The rules of Cloudflare AI Gateway, without I/O: settings, options, metadata, routes, exchanges and errors."""
