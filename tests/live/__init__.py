"""Questions about Cloudflare that only a real account can answer; skipped without CFAIG_LIVE=1 and credentials."""
