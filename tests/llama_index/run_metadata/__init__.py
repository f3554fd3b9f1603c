"""The gateway's log names user, run, agent and purpose of every call, on every path by which LlamaIndex gets there.

What arrived is read from the simulator's log, and is all that may be in it: see the fixture `nothing_told`.
"""
