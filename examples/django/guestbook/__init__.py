"""Entries of a guestbook."""
