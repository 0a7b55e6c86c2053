"""The admin in a real browser: nothing that was stored runs, and everything can be read, on a phone and in the dark."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.urls import reverse

from communique import Message, Recipient, Retry, messages
from communique.models import Communication
from communique.reporting import words
from shop.models import Customer
from tests.services import chromium

pytestmark = [pytest.mark.browser, pytest.mark.once, pytest.mark.django_db(transaction=True)]

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]

# Each calls ran() if it runs, wherever it is put.
HOSTILE = [
    "<script>ran('script')</script>",
    "<img src=x onerror=ran('img')>",
    "<svg onload=ran('svg')></svg>",
    "</iframe><script>ran('iframe')</script>",
    "\"><script>ran('attribute')</script>",
    "</pre></title></textarea></style><script>ran('raw')</script>",
    "<a href=\"javascript:ran('link')\">press</a>",
    "<iframe src=\"javascript:ran('frame')\"></iframe>",
    "<meta http-equiv=refresh content=\"0;url=javascript:ran('meta')\">",
    "{{ ran }}{% load x %}",
]
EVERYTHING_HOSTILE = "".join(HOSTILE)
PIXEL = "https://tracker.example/pixel.gif"
BODY = f'<!doctype html><body><p>{EVERYTHING_HOSTILE}<img src="{PIXEL}"><a id="go" href="/elsewhere/">go</a>'


class Page:
    """A browser page of somebody signed in, with what ran and what was fetched."""

    def __init__(self, context, site):
        self.ran, self.fetched, self.site = [], [], site
        # A lambda: playwright sets an attribute, which a list's own method cannot have.
        context.expose_function("ran", lambda what: self.ran.append(what))
        context.route(PIXEL, lambda route: route.fulfill(content_type="image/gif", body=b""))
        context.on("response", lambda response: self.fetched.append(response.url))
        self.page = context.new_page()

    def open(self, path):
        self.page.goto(self.site + path)
        return self.page


@pytest.fixture
def browse(live_server, monkeypatch):
    """Open the admin in Chromium: ``with browse(width=390) as browser: browser.open(path)``."""
    from playwright.sync_api import sync_playwright

    # Playwright keeps an event loop in this thread; what Django does here after it has nothing to do with that loop.
    monkeypatch.setitem(os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    Customer.objects.create_superuser("admin", "admin@shop.example", "secret")

    @contextmanager
    def browse(width=1280, scheme="light") -> Iterator[Page]:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
            context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
            browsed = Page(context, live_server.url)
            page = browsed.open("/admin/login/")
            page.get_by_label("Username").fill("admin")
            page.get_by_label("Password").fill("secret")
            page.get_by_role("button", name="Log in").click()
            yield browsed
            browser.close()

    return browse


@pytest.fixture
def hostile(communique, settings, tmp_path):
    """A communication that says the worst in every place that others can fill; tried once in vain, then accepted."""
    folder = tmp_path / "shop/messages/hostile"
    folder.mkdir(parents=True)
    for name in ("subject.txt", "email.txt"):
        (folder / name).write_text("{{ said|safe }}")
    (folder / "email.html").write_text("{{ body|safe }}")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [str(tmp_path)]}]
    with messages.isolated():

        class Hostile(Message):
            key = "shop.hostile"
            from_email = f'"{EVERYTHING_HOSTILE}" <shop@shop.example>'
            reply_to = (EVERYTHING_HOSTILE,)
            headers = {"X-<script>ran('header')</script>": EVERYTHING_HOSTILE}
            said: str
            body: str

        communique.answer("email", *[Retry(one[:40], detail=one) for one in HOSTILE])
        who = Recipient(email="ada@shop.example", name=EVERYTHING_HOSTILE)
        Hostile(said=EVERYTHING_HOSTILE, body=BODY).send(to=who)
        for _ in range(len(HOSTILE) + 1):
            communique.run()
            communique.travel(hours=4)
    sent = Communication.objects.get()
    assert sent.verdict == "reached"
    return sent


def story(sent):
    return reverse("admin:communique_communication_change", args=[sent.pk])


def content(sent, name="content"):
    return reverse(f"admin:communique_communication_{name}", args=[sent.pk, "email"])


def pages(sent):
    event = reverse("admin:communique_eventrecord_change", args=[sent.event_id])
    lists = ["/admin/communique/communication/", "/admin/communique/eventrecord/"]
    return [*lists, story(sent), event, content(sent), content(sent, "html")]


def test_nothing_that_was_stored_runs_on_any_page(hostile, browse):
    paths = pages(hostile)
    with browse() as browser:
        for path in paths:
            browser.open(path).wait_for_timeout(200)
        assert browser.ran == []
        # The trap works: the same mail outside its sandbox runs at once.
        browser.page.goto("about:blank")
        browser.page.set_content(BODY)
        browser.page.wait_for_timeout(200)
        assert {"script", "img", "svg"} <= set(browser.ran)


def test_the_story_shows_what_was_said_as_text(hostile, browse):
    with browse() as browser:
        said = browser.open(story(hostile)).locator(".communique-timeline").inner_text()
    for one in HOSTILE:
        assert one in said


def test_the_frame_shows_the_mail_and_fetches_nothing(hostile, browse):
    path, html = content(hostile), content(hostile, "html")
    with browse() as browser:
        page = browser.open(path)
        assert "press" in page.frame_locator(".communique-frame").locator("body").inner_text()
        assert [url for url in browser.fetched if url.endswith(html)]
        assert PIXEL not in browser.fetched


def test_a_click_in_the_frame_leads_nowhere(hostile, browse):
    path = content(hostile)
    with browse() as browser:
        page = browser.open(path)
        page.frame_locator(".communique-frame").locator("#go").click()
        page.wait_for_timeout(200)
        assert not [url for url in browser.fetched if "elsewhere" in url]
        assert len(page.context.pages) == 1


@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_is_wider_than_its_window(hostile, browse, width):
    paths = pages(hostile)[:-1]  # the last is the mail itself
    with browse(width=width) as browser:
        for path in paths:
            page = browser.open(path)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
            table = page.locator("#result_list")
            if table.count():
                assert table.evaluate("t => t.scrollWidth <= t.closest('.results').clientWidth"), path


CONTRAST = """element => {
    const channels = colour => colour.match(/[\\d.]+/g).map(Number);
    const luminance = ([r, g, b]) => [r, g, b].map(c => c / 255)
        .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    let behind = element;
    while (behind && (channels(getComputedStyle(behind).backgroundColor)[3] ?? 1) === 0) behind = behind.parentElement;
    const ground = luminance(behind ? channels(getComputedStyle(behind).backgroundColor) : [255, 255, 255]);
    const ratio = colour => {
        const [low, high] = [luminance(channels(colour)), ground].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    };
    return [ratio(getComputedStyle(element).color), ratio(getComputedStyle(element).borderTopColor)];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_and_their_colours_stand_out_in_light_and_dark(hostile, browse, scheme):
    paths = pages(hostile)[:-1]
    with browse(scheme=scheme) as browser:
        for path in paths:
            page = browser.open(path)
            for element in page.locator(".communique p, .communique dt, .communique-aside, .communique time").all():
                assert element.evaluate(CONTRAST)[0] >= 4.5, (path, element.inner_text())
            for element in page.locator(".communique-word").all():
                text, edge = element.evaluate(CONTRAST)
                assert text >= 4.5, path
                assert edge >= 3, path  # WCAG 2.2, 1.4.11: what is no text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_tone_stands_out(hostile, browse, scheme):
    with browse(scheme=scheme) as browser:
        word = browser.open("/admin/communique/communication/").locator(".communique-word").first
        for tone in words.Tone:
            word.evaluate("(element, tone) => { element.className = `communique-word communique-${tone}` }", tone)
            assert word.evaluate(CONTRAST)[1] >= 3, tone


def test_the_story_reads_in_order_on_a_phone(hostile, browse):
    with browse(width=390) as browser:
        page = browser.open(story(hostile))
        said = page.get_by_role("list", name="What happened").get_by_role("listitem").all_inner_texts()
    assert "was asked for by send()" in said[0]
    assert said[-1].endswith("Nothing will be tried again.")
    assert re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", said[0])
