"""What a conversation is, whichever framework asks and whichever wire carries it.

Values only: knows no wire format, no HTTP, no gateway and no framework; standard library only.
"""
