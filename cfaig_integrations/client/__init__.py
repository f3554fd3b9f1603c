"""All I/O of the package: no other part imports httpx."""
