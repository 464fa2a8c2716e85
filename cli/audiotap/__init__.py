"""audiotap: a command-line tap and recorder for the audio of meeting bots and voice agents."""

__version__ = "0.1.0"
