"""Programs of users that pyright checks in strict mode."""
