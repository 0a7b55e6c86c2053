"""In an environment that has only the built wheel: is all of the source in it, and does a host project come up?

python -I .ci/check_wheel.py WHEEL SOURCE SCRATCH
"""

import sys
import zipfile
from importlib.metadata import version
from pathlib import Path


def main(wheel: Path, source: Path, scratch: Path) -> None:
    compare(wheel, source)
    migrate(scratch / "host.sqlite3")
    print(f"django-communique {version('django-communique')}: complete, imported, migrated, checked")


def compare(wheel: Path, source: Path) -> None:
    """Templates, translations, migrations and py.typed are easy to lose on the way."""
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("communique/")}
    real = {
        path.relative_to(source.parent).as_posix()
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    if packed != real:
        raise SystemExit(f"missing from the wheel: {sorted(real - packed)}; only in it: {sorted(packed - real)}")


def migrate(database: Path) -> None:
    import django
    from django.conf import settings
    from django.core.management import call_command

    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": database,
                "OPTIONS": {"transaction_mode": "IMMEDIATE"},
            }
        },
        DEFAULT_FROM_EMAIL="shop@shop.example",
        INSTALLED_APPS=[
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.messages",
            "django.contrib.sessions",
            "communique",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        SECRET_KEY="for this check only",
        USE_TZ=True,
    )
    django.setup()
    call_command("migrate", verbosity=0)
    call_command("check", fail_level="WARNING")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
