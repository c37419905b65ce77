"""A guestbook that logs in to its database with IAM."""
