"""Connections, captured requests, responses and error bodies."""
