"""Notes, through one AsyncEngine on asyncpg or on psycopg."""
