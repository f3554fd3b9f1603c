"""What `cfaig doctor` checks, and how it explains what it finds.

`findings`: the problems, their exit codes and fixes. `probes`: requests, and what their failures mean. `account`:
settings, token, account, permissions, gateway, credits. `calls`: the model, and each of its wire formats.
"""
