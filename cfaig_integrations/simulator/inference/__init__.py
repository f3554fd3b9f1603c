"""Model calls, from the request to the log entry."""
