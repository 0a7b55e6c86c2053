"""Makes the screenshots of docs/images from a running `./demo`, at desktop and phone width.

    python example_project/screenshots.py [--site http://localhost:8000] [--folder docs/images]

Needs playwright and the system's Chromium.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
WIDTHS = {"desktop": (1280, 900, 1), "phone": (390, 844, 2)}  # pixels, and how many real ones to each
COMMUNICATIONS = "/admin/communique/communication/"


def main() -> None:
    parser = argparse.ArgumentParser(description="Screenshots of a running demo.")
    parser.add_argument("--site", default="http://localhost:8000")
    parser.add_argument("--folder", type=Path, default=Path(__file__).resolve().parent.parent / "docs" / "images")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for width in WIDTHS:
            with visit(browser, options.site, width) as page:
                shop(page, options.folder, width)
                admin(page, options.folder, width)


@contextmanager
def visit(browser: Browser, site: str, width: str) -> Iterator[Page]:
    wide, high, scale = WIDTHS[width]
    context = browser.new_context(
        base_url=site, viewport={"width": wide, "height": high}, device_scale_factor=scale, color_scheme="light"
    )
    yield context.new_page()
    context.close()


def shop(page: Page, folder: Path, width: str) -> None:
    page.goto("/")
    page.get_by_role("button", name="Continue as Ada").click()
    save(page, folder, f"shop-{width}")
    page.get_by_role("button", name="Place order").click()
    save(page, folder, f"order-{width}")
    page.goto("/mailbox/")
    save(page, folder, f"mailbox-{width}")
    page.get_by_role("link", name="here is your receipt").first.click()
    save(page, folder, f"mail-{width}")
    page.goto("/")
    page.get_by_role("button", name="Sign out").click()


def admin(page: Page, folder: Path, width: str) -> None:
    page.goto(f"/admin/login/?next={COMMUNICATIONS}")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill("admin")
    page.get_by_role("button", name="Log in").click()
    save(page, folder, f"admin-list-{width}")
    page.goto(f"{COMMUNICATIONS}?q=greylist@customers.example")
    page.locator("#result_list tbody th a").last.click()
    save(page, folder, f"admin-story-{width}")


def save(page: Page, folder: Path, name: str) -> None:
    page.wait_for_load_state("networkidle")
    page.screenshot(path=folder / f"{name}.png")


if __name__ == "__main__":
    main()
