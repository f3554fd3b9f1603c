"""The model of a conversation, the same for all frameworks and wire formats.

Plain values; standard library only.
"""
