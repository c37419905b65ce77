"""Settings; the ones that matter here are DATABASES."""

from __future__ import annotations

import os

import pgiam

DATABASE = {
    "host": os.environ["DATABASE_HOST"],
    "port": int(os.environ.get("DATABASE_PORT", "5432")),
    "user": os.environ.get("DATABASE_USER", "app"),
}

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ.get("DATABASE_NAME", "postgres"),
        "HOST": DATABASE["host"],
        "PORT": DATABASE["port"],
        "USER": DATABASE["user"],
        # An object, not a string: every connection that Django or its pool opens gets an auth token of its own.
        "PASSWORD": pgiam.password(**DATABASE),
        "OPTIONS": {"sslmode": "verify-full", "sslrootcert": pgiam.ca_file()},
        # Django's pool and persistent connections exclude each other.
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
    }
}
if os.environ.get("DATABASE_POOL"):
    DATABASES["default"]["CONN_MAX_AGE"] = 0
    DATABASES["default"]["OPTIONS"]["pool"] = {
        "min_size": 1,
        "max_size": 5,
        # Under RDS Proxy's 30 minutes of idling and Aurora DSQL's 60 minutes of living.
        "max_lifetime": float(os.environ.get("DATABASE_MAX_LIFETIME", "1500")),
        "timeout": 20,
    }

SECRET_KEY = os.environ["DJANGO_SECRET_KEY"]
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "localhost,127.0.0.1").split(",")
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
INSTALLED_APPS = ["guestbook"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}
