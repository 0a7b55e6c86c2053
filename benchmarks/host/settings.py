"""The host project of the benchmarks. The script that measures says the rest through the environment:

BENCH_DATABASE     name of the PostgreSQL database, made and dropped by the script
BENCH_SMTP_PORT    port of the sink on 127.0.0.1
BENCH_POST_OFFICE  JSON object: the settings of django-post-office

COMMUNIQUE_TEST_POSTGRES is the server's address, as for the tests.
"""

import json
import os
from urllib.parse import unquote, urlsplit

SERVER = urlsplit(os.environ.get("COMMUNIQUE_TEST_POSTGRES") or "postgres://postgres@127.0.0.1:5432/postgres")
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["BENCH_DATABASE"],
        "USER": unquote(SERVER.username or ""),
        "PASSWORD": unquote(SERVER.password or ""),
        "HOST": SERVER.hostname or "",
        "PORT": str(SERVER.port or ""),
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "for benchmarks only"  # noqa: S105 - it opens nothing
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "post_office",
    "communique",
    "host",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
DEFAULT_FROM_EMAIL = "The shop <shop@shop.example>"
EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
EMAIL_HOST, EMAIL_PORT = "127.0.0.1", int(os.environ.get("BENCH_SMTP_PORT") or 25)
POST_OFFICE = json.loads(os.environ.get("BENCH_POST_OFFICE") or "{}")
