"""Recordings as they are looked at, listened to and passed on afterwards."""
