"""Imported once, by the process that workers are forked from: none of them has to load Django, or anything lazily.

What is loaded at a first use counts: a worker that is killed after a second would spend half its life on it.
"""

import django

django.setup()

import communique.management.commands.communique_worker  # noqa: E402, F401
from communique import messages, rendering  # noqa: E402
from communique.payloads.base import schema_of  # noqa: E402
from communique.recipients import Recipient  # noqa: E402

for message in messages.known().values():
    for payload in (message, *messages.events_of(message)):
        schema_of(payload)
    rendering.render(message.example(), Recipient(email="ada@shop.example"), "email")
