"""`./demo --check`: a visitor's round through the shop, and what must have come of it."""

import re
import time
from collections import Counter
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import TypeVar

from demo.programs import THREADS, Programs
from demo.talk import CheckError, ok
from demo.visitor import Visitor

ORDERS_IN_A_RUSH = 40
KILL_AFTER = 10  # of their receipts that the provider has, when the worker is killed
SECONDS_PER_MAIL = 0.1
PATIENCE = 20  # seconds
COMMUNICATIONS = "/admin/communique/communication/"

T = TypeVar("T")


def play(programs: Programs) -> None:
    """Plays the round. Raises CheckError or StartError with what is wrong."""
    programs.start_provider(SECONDS_PER_MAIL)
    programs.manage("migrate", "--verbosity=0")
    programs.manage("seed_shop", "--no-history")
    programs.start_worker()
    programs.start_site()
    ok(f"provider, worker and site are running; the shop is at {programs.site_url}")

    round_ = Round(programs)
    round_.a_customer_buys()
    round_.a_provider_asks_for_patience()
    round_.a_password_is_forgotten()
    round_.an_operator_looks()
    round_.a_worker_is_killed()
    programs.raise_if_one_ended()
    ok("all is well")


class Round:
    """The steps of the round; each leaves a line."""

    def __init__(self, programs: Programs) -> None:
        self.programs = programs
        self.ledger = Ledger(programs.mailbox)
        self.greylisted = ""  # number of the order of a greylisted address

    def a_customer_buys(self) -> None:
        ada = Visitor(self.programs.site_url)
        ada.get("/")
        ada.post("/continue-as-ada/")
        number = order(ada, "Harbour Espresso", "Salt & Caramel")
        ok(f"order {number} placed over HTTP")

        receipt = self.mail(f"Order {number}: thank you")
        check_parts(receipt, text=[number, "1 x Salt & Caramel"], html=[number, "Salt &amp; Caramel"])
        expect(receipt["To"] == "Ada Byron <ada@customers.example>", f"the receipt went to {receipt['To']}")
        expect(re.fullmatch(r"<[^<>@\s]+@[^<>@\s]+>", receipt["Message-ID"]), f"no Message-ID: {receipt['Message-ID']}")
        ok(f"its receipt arrived with a text and an HTML part, Message-ID {receipt['Message-ID']}")

        ada.post(f"/orders/{number}/pay/")
        check_parts(self.mail(f"Order {number}: payment received"), text=["€26.80"], html=["€26.80"])
        ada.post(f"/orders/{number}/ship/")
        tracking = found(r"HC \d{4} \d{4}", ada.page)
        check_parts(self.mail(f"Order {number}: your parcel"), text=[tracking], html=[tracking])
        ok("it was paid and shipped, and both mails arrived")

        ada.get("/mailbox/")
        expect(f"Order {number}: thank you" in ada.page, "the mailbox page does not list the receipt")
        (link, *_) = ada.links(r"^/mailbox/[0-9]")
        ada.get(link)
        expect('sandbox="allow-popups' in ada.page, "the mailbox page shows no HTML part")
        ok("the mailbox page lists the mails and shows one")

    def a_provider_asks_for_patience(self) -> None:
        elin = Visitor(self.programs.site_url)
        sign_in(elin, "elin", "elin")
        number = order(elin, "Spring Tide")
        self.mail(f"Order {number}: thank you")
        self.greylisted = number
        ok(f"order {number} of a greylisted address: refused twice with 451, then accepted")

    def a_password_is_forgotten(self) -> None:
        bola = Visitor(self.programs.site_url)
        bola.get("/forgot-password/")
        bola.post("/forgot-password/", email="bola@customers.example")
        mail = self.mail("Choose a new password")
        link = found(r"http://\S+/reset-password/\S+", part(mail, "plain"))
        expect(link in part(mail, "html"), "text and HTML part carry different links")
        bola.get(link)
        bola.post("", new_password1="nine-tall-ships", new_password2="nine-tall-ships")
        sign_in(bola, "bola", "nine-tall-ships")
        ok("a forgotten password was replaced through the link in the mail")
        bola.get("/")
        bola.post("/sign-out/")
        bola.get(link)
        expect("This link is spent" in bola.page, "the link works twice")
        ok("the link is spent afterwards")

    def an_operator_looks(self) -> None:
        admin = Visitor(self.programs.site_url)
        admin.get(f"/admin/login/?next={COMMUNICATIONS}")
        admin.post("", username="admin", password="admin", next=COMMUNICATIONS)
        for address in ("ada@customers.example", "greylist@customers.example"):
            expect(address in admin.page, f"{admin.url} does not list what {address} was told")
        ok(f"the admin lists the communications: {admin.url}")

        receipt = self.mail(f"Order {self.greylisted}: thank you")
        admin.get(f"{COMMUNICATIONS}?q={receipt['Message-ID'].strip('<>').partition('@')[0]}")
        stories = admin.links(r"/admin/communique/communication/\d+/change/")
        expect(len(stories) == 1, f"{admin.url} finds {len(stories)} stories for one Message-ID")
        admin.get(stories[0])
        for words in ("shop.order_receipt", "greylist@customers.example", "451 4.7.1", "250"):
            expect(words in admin.page, f"{admin.url} does not tell {words!r}")
        ok(f"the story of the greylisted receipt, found by its Message-ID, tells every attempt: {admin.url}")

    def a_worker_is_killed(self) -> None:
        self.programs.stop("worker")
        ada = Visitor(self.programs.site_url)
        ada.get("/")
        ada.post("/continue-as-ada/")
        numbers = set()
        for _ in range(ORDERS_IN_A_RUSH):
            ada.get("/")
            numbers.add(order(ada, "Lighthouse Blend"))
        ok(f"{len(numbers)} orders placed while no worker was running")

        self.programs.start_worker()
        wait_for(lambda: len(self.ledger.receipts(numbers)) >= KILL_AFTER, f"{KILL_AFTER} of their receipts")
        self.programs.kill("worker")
        before = len(self.ledger.receipts(numbers))
        expect(before < len(numbers), "the worker was through before it could be killed")
        ok(f"a worker started, and killed with kill -9 after {before} of their receipts")

        self.programs.start_worker()
        wait_for(lambda: len(self.ledger.receipts(numbers)) == len(numbers), "all of their receipts")
        self.settled()
        receipts = self.ledger.receipts(numbers)
        duplicates = sum(receipts.values()) - len(receipts)
        expect(duplicates <= THREADS, f"{duplicates} duplicates, but only {THREADS} attempts can have been open")
        ok(f"a new worker sent the rest: {len(receipts)} of {len(numbers)} arrived, none is lost")
        ok(f"{duplicates} came twice; {THREADS} attempts at most can have been open, and no more may come twice")

    def mail(self, subject: str) -> EmailMessage:
        """The mail whose subject starts so, once it is there."""
        return wait_for(lambda: self.ledger.find(subject), f"a mail {subject!r}")

    def settled(self) -> None:
        """Waits until no mail has arrived for longer than a lease lasts."""
        seen, since = self.ledger.size(), time.monotonic()
        while time.monotonic() - since < 4.5:
            time.sleep(0.1)
            if self.ledger.size() != seen:
                seen, since = self.ledger.size(), time.monotonic()


class Ledger:
    """What the provider has accepted, as its folder tells."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[Path, EmailMessage] = {}

    def mails(self) -> list[EmailMessage]:
        for envelope in self.folder.glob("*.json"):
            if envelope not in self._read:
                source = envelope.with_suffix(".eml").read_bytes()
                self._read[envelope] = message_from_bytes(source, _class=EmailMessage, policy=policy.default)
        return list(self._read.values())

    def size(self) -> int:
        return len(self.mails())

    def find(self, subject: str) -> EmailMessage | None:
        return next((mail for mail in self.mails() if mail["Subject"].startswith(subject)), None)

    def receipts(self, numbers: set[str]) -> Counter[str]:
        """How often the receipt of each of these orders was accepted."""
        subjects = {f"Order {number}: thank you, here is your receipt": number for number in numbers}
        return Counter(subjects[mail["Subject"]] for mail in self.mails() if mail["Subject"] in subjects)


def sign_in(visitor: Visitor, username: str, password: str) -> None:
    visitor.get("/sign-in/")
    visitor.post("/sign-in/", username=username, password=password)
    expect("Sign out" in visitor.page, f"{username} could not sign in")


def order(visitor: Visitor, *coffees: str) -> str:
    """Orders a bag of each coffee from the front page; returns the number of the order."""
    shown = visitor.page.replace("&amp;", "&")
    fields = {
        found(rf'of {re.escape(coffee)}</span>\s*<input type="number" name="(\w+)"', shown): 1 for coffee in coffees
    }
    visitor.post("/orders/", **fields)
    return found(r"/orders/(A-\d+)/$", visitor.url)


def expect(holds: object, what: str) -> None:
    """Raises CheckError saying what is wrong, unless it holds."""
    if not holds:
        raise CheckError(what)


def check_parts(mail: EmailMessage, *, text: list[str], html: list[str]) -> None:
    for kind, wanted in (("plain", text), ("html", html)):
        content = part(mail, kind)
        for words in wanted:
            expect(words in content, f"the {kind} part of {mail['Subject']!r} lacks {words!r}")


def part(mail: EmailMessage, kind: str) -> str:
    body = mail.get_body(preferencelist=(kind,))
    if body is None:
        raise CheckError(f"{mail['Subject']!r} has no {kind} part")
    content: str = body.get_content()
    return content


def found(pattern: str, where: str) -> str:
    match = re.search(pattern, where)
    if match is None:
        raise CheckError(f"{pattern!r} is not in: {where[:2000]}")
    return match[match.lastindex or 0]


def wait_for(look: Callable[[], T | None], what: str) -> T:
    """What `look` sees, once it sees something; raises CheckError if that takes too long."""
    until = time.monotonic() + PATIENCE
    while not (seen := look()):
        expect(time.monotonic() < until, f"waited {PATIENCE} seconds in vain for {what}")
        time.sleep(0.05)
    return seen
