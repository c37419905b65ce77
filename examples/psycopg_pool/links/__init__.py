"""Short links: an async pool in the service, a threaded one in the command that prunes them."""
