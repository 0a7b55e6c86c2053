"""The host project of the tests: the example shop on the database that COMMUNIQUE_TEST_DATABASE names.

The environment says the rest, so that a test can start workers as processes of their own against the same database:

COMMUNIQUE_TEST_DATABASE       sqlite (default), postgresql or mariadb
COMMUNIQUE_TEST_DATABASE_NAME  use this very database; without it a name that no other run on this machine holds
COMMUNIQUE_TEST_SMTP_PORT      port of the SMTP server on 127.0.0.1
COMMUNIQUE_TEST_OPTIONS        JSON object merged into COMMUNIQUE: {"LEASE_SECONDS": 2}
"""

import fcntl
import itertools
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import django

from tests.services import address

ROOT = Path(__file__).resolve().parent.parent
SHOP = str(ROOT / "example_project")
if SHOP not in sys.path:
    sys.path.insert(0, SHOP)

SCRATCH = Path(tempfile.gettempdir()) / f"communique-tests-{os.getuid()}"


def free_slot() -> str:
    """A name that no other live process holds, the lowest first: runs never meet, and killed ones leave no pile."""
    SCRATCH.mkdir(mode=0o700, exist_ok=True)
    for number in itertools.count():
        slot = os.open(SCRATCH / f"slot-{number}", os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(slot)
        else:  # never closed: the slot is held for as long as the process lives
            return f"communique_{number}"
    raise AssertionError


def sqlite(name: str | None) -> dict[str, Any]:
    path = name or str(SCRATCH / f"{free_slot()}.sqlite3")
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        # A file: workers run as processes of their own against it.
        "TEST": {"NAME": str(Path(path).with_name("test_" + Path(path).name))},
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
        },
    }


def postgresql(name: str | None) -> dict[str, Any]:
    return server("django.db.backends.postgresql", "COMMUNIQUE_TEST_POSTGRES", name)


def mariadb(name: str | None) -> dict[str, Any]:
    import pymysql

    pymysql.install_as_MySQLdb()
    utf8 = {"CHARSET": "utf8mb4", "COLLATION": "utf8mb4_unicode_ci"}
    return server("django.db.backends.mysql", "COMMUNIQUE_TEST_MARIADB", name) | {"TEST": utf8}


def server(engine: str, variable: str, name: str | None) -> dict[str, Any]:
    parts = urlsplit(address(variable))
    return {
        "ENGINE": engine,
        "NAME": name or free_slot(),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
    }


DATABASE = os.environ.get("COMMUNIQUE_TEST_DATABASE") or "sqlite"
DATABASES = {
    "default": {"sqlite": sqlite, "postgresql": postgresql, "mariadb": mariadb}[DATABASE](
        os.environ.get("COMMUNIQUE_TEST_DATABASE_NAME")
    )
}

SECRET_KEY = "for tests only"
DEBUG = False
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
ALLOWED_HOSTS = ["*"]
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "tests.urls"
AUTH_USER_MODEL = "shop.Customer"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # tests log in often, and guard nothing

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "communique",
    "shop",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
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
    }
]

SMTP = {"host": "127.0.0.1", "port": int(os.environ.get("COMMUNIQUE_TEST_SMTP_PORT") or 25)}
DEFAULT_FROM_EMAIL = "Shop <shop@shop.example>"
if django.VERSION >= (6, 1):  # where MAILERS is defined, reading EMAIL_* raises
    MAILERS = {"default": {"BACKEND": "django.core.mail.backends.smtp.EmailBackend", "OPTIONS": SMTP}}
else:
    EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    EMAIL_HOST, EMAIL_PORT = SMTP["host"], SMTP["port"]
    EMAIL_TIMEOUT = 10

COMMUNIQUE: dict[str, Any] = {}
COMMUNIQUE |= json.loads(os.environ.get("COMMUNIQUE_TEST_OPTIONS") or "{}")
