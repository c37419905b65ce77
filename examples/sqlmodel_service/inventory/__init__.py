"""Stock keeping behind RDS Proxy, without a database password in production."""
