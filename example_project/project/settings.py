"""Settings of the example shop. Everything a demo or a test wants to vary comes from the environment."""

import json
import os
from pathlib import Path
from typing import Any

import django

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("SHOP_DATA", BASE_DIR.parent / ".demo"))
SITE_URL = os.environ.get("SHOP_URL", "http://localhost:8000")

SECRET_KEY = os.environ.get("SECRET_KEY", "example-shop-key-for-local-use-only-never-deploy-it")
DEBUG = True
ALLOWED_HOSTS = ["*"]

INSTALLED_APPS = [
    "communique",
    "shop",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "shop.middleware.ContentSecurityPolicyMiddleware",
]

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# A worker and a site write to the same file: each transaction takes the write lock when it begins and waits its turn,
# and a commit is on the disk before it is answered.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "shop.sqlite3",
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
        },
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "shop.Customer"
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
LOGIN_URL = "shop:sign_in"
LOGIN_REDIRECT_URL = "shop:front"
LOGOUT_REDIRECT_URL = "shop:front"
PASSWORD_RESET_TIMEOUT = 60 * 60  # seconds; the mail with the link expires after the same hour

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English")]
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"

# Mail goes to the fake provider that `./demo` starts (see fakes/smtp_provider.py).
SMTP_HOST = os.environ.get("SMTP_HOST", "127.0.0.1")
SMTP_PORT = int(os.environ.get("SMTP_PORT", "8025"))
SMTP_TIMEOUT = 10  # seconds
DEFAULT_FROM_EMAIL = "Halyard Coffee <hello@halyard.example>"

if django.VERSION >= (6, 1):
    MAILERS = {
        "default": {
            "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "OPTIONS": {"host": SMTP_HOST, "port": SMTP_PORT, "timeout": SMTP_TIMEOUT},
        },
    }
else:
    EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    EMAIL_HOST = SMTP_HOST
    EMAIL_PORT = SMTP_PORT
    EMAIL_TIMEOUT = SMTP_TIMEOUT

COMMUNIQUE: dict[str, Any] = {"BASE_URL": SITE_URL}
for _key in ("LEASE_SECONDS", "POLL_SECONDS", "RETRY_DELAYS"):  # only a demo or a test is in such a hurry
    if _value := os.environ.get(f"COMMUNIQUE_{_key}"):
        COMMUNIQUE[_key] = json.loads(_value)

# Where the fake provider keeps what it accepted, for the mailbox page. Remove this setting and the page is gone.
SHOP_MAILBOX = DATA_DIR / "mailbox"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname:7} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"communique": {"handlers": ["console"], "level": os.environ.get("SHOP_LOG_LEVEL", "INFO")}},
}
