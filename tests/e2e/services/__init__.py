"""Programs for servers that fork: each is loaded by the real server, in a process of its own."""
