"""What a program tells the simulator to do next: answers to give, and faults to play upon them.

Knows no gateway and no path.
"""
