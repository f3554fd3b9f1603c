"""The gateway's rules: authentication, settings, headers, routing, rate limits and cache."""
