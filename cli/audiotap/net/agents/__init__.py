"""Conversations with voice agents, over sockets."""
