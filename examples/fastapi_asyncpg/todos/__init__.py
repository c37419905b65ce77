"""A todo list on Vercel, in RDS or Aurora DSQL, without a database password."""
