"""Settings: known keys, importable backends, a mailer that exists."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core import mail
from django.core.checks import CheckMessage, Error, Warning
from django.db import connections
from django.utils.module_loading import import_string

from .. import conf, engines, wakeups


def check_settings(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    return [*_keys(), *_numbers(), *_backends(), *_mailers(), *_from_email(), *_databases()]


def _keys() -> Iterator[CheckMessage]:
    if unknown := sorted(conf.given().keys() - conf.DEFAULTS.keys()):
        yield Error(
            f"COMMUNIQUE has keys that nothing reads: {', '.join(unknown)}.",
            hint=f"Known keys are {', '.join(sorted(conf.DEFAULTS))}.",
            id="communique.E007",
        )
    if conf.get("ENGINE") not in engines.ENGINES:
        yield Error(
            f"COMMUNIQUE['ENGINE'] is {conf.get('ENGINE')!r}.",
            hint=f"It can be one of {', '.join(engines.ENGINES)}.",
            id="communique.E008",
        )


def _numbers() -> Iterator[CheckMessage]:
    for key in ("LEASE_SECONDS", "POLL_SECONDS"):
        if not _is_positive(conf.get(key)):
            yield Error(
                f"COMMUNIQUE[{key!r}] is {conf.get(key)!r}.",
                hint="Give a number of seconds, more than 0.",
                id="communique.E013",
            )
    delays = conf.get("RETRY_DELAYS")
    if not (isinstance(delays, list | tuple) and delays and all(map(_is_positive, delays))):
        yield Error(
            f"COMMUNIQUE['RETRY_DELAYS'] is {delays!r}.",
            hint="Give a list of seconds, each more than 0; the last one repeats.",
            id="communique.E013",
        )


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _backends() -> Iterator[CheckMessage]:
    for channel in conf.channels():
        if not conf.backends_of(channel):
            yield Error(
                f"The channel {channel!r} has no backend.",
                hint=f"Add one to COMMUNIQUE['CHANNELS'][{channel!r}]['BACKENDS'].",
                id="communique.E009",
            )
        for name, entry in conf.backends_of(channel).items():
            yield from _backend(channel, name, entry.get("BACKEND", ""))


def _backend(channel: str, name: str, path: str) -> Iterator[CheckMessage]:
    try:
        import_string(path)
    except ModuleNotFoundError as error:
        yield Error(
            f"The backend {name!r} of channel {channel!r} cannot be imported: no module {error.name!r}.",
            hint=f"Install the package that provides it, or check the BACKEND path {path!r}.",
            id="communique.E010",
        )
    except ImportError as error:
        yield Error(
            f"The backend {name!r} of channel {channel!r} cannot be imported: {error}.",
            hint=f"Check the BACKEND path {path!r}.",
            id="communique.E010",
        )


def _mailers() -> Iterator[CheckMessage]:
    configured = getattr(settings, "MAILERS", None)
    for name, entry in conf.backends_of("email").items():
        alias = entry.get("OPTIONS", {}).get("mailer", "default")
        if not hasattr(mail, "mailers"):
            configured = None
        if configured is not None and alias not in configured:
            yield Error(
                f"The email backend {name!r} uses the mailer {alias!r}, which MAILERS does not have.",
                hint=f"Add {alias!r} to MAILERS, or choose one of {sorted(configured)}.",
                id="communique.E011",
            )
        elif configured is None and alias != "default":
            yield Error(
                f"The email backend {name!r} uses the mailer {alias!r}, and there is no MAILERS setting.",
                hint="Mailers came with Django 6.1; before it the only one is 'default': the EMAIL_* settings.",
                id="communique.E011",
            )


def _from_email() -> Iterator[CheckMessage]:
    if settings.DEFAULT_FROM_EMAIL == "webmaster@localhost":
        yield Warning(
            "DEFAULT_FROM_EMAIL is still Django's 'webmaster@localhost'.",
            hint="Set it to an address of a domain that you may send from: it is also the domain of Message-IDs.",
            id="communique.W001",
        )


def _databases() -> Iterator[CheckMessage]:
    for alias, database in settings.DATABASES.items():
        if connections[alias].vendor == "postgresql" and not wakeups.can_listen(alias):
            yield Warning(
                f"The PostgreSQL database {alias!r} is spoken to through psycopg 2: workers are not woken, they poll.",
                hint='pip install "psycopg[binary]", which is psycopg 3.',
                id="communique.W003",
            )
        if connections[alias].vendor != "sqlite":
            continue
        if str(database.get("OPTIONS", {}).get("transaction_mode", "")).upper() != "IMMEDIATE":
            yield Warning(
                f"The SQLite database {alias!r} does not begin its transactions as IMMEDIATE.",
                hint='Set OPTIONS: {"transaction_mode": "IMMEDIATE"}: otherwise "database is locked" ends '
                "transactions that read before they write, in your site and in the sender alike.",
                id="communique.W002",
            )
