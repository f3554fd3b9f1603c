"""What a conversation is, whichever framework asks and whichever wire carries it.

Plain values; standard library only.
"""
