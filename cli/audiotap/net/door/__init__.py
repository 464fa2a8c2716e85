"""What stands between the network and a port: who is let in, over what, and how much is taken."""
