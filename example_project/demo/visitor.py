"""A visitor of the site: keeps cookies, follows redirects, and sends forms as a browser would."""

import re
from html import unescape
from http.cookiejar import CookieJar
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

from demo.talk import CheckError

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


class Visitor:
    """One browser with its own cookies. `url` and `page` are where it is and what it sees."""

    def __init__(self, site_url: str) -> None:
        self.url = site_url + "/"
        self.page = ""
        self._opener: OpenerDirector = build_opener(HTTPCookieProcessor(CookieJar()))

    def get(self, path: str) -> str:
        """Opens an address, absolute or relative to where the visitor is; raises CheckError for 4xx and 5xx."""
        return self._open(path, None)

    def post(self, path: str, **fields: object) -> str:
        """Sends a form of the page the visitor sees, and follows where that leads."""
        token = TOKEN.search(self.page)
        if token is None:
            raise CheckError(f"{self.url} shows no form to send")
        return self._open(path, urlencode({"csrfmiddlewaretoken": token[1], **fields}).encode())

    def _open(self, path: str, body: bytes | None) -> str:
        address = urljoin(self.url, path)
        try:
            with self._opener.open(address, body, timeout=20) as response:
                self.url = response.url
                self.page = response.read().decode()
        except HTTPError as error:
            raise CheckError(f"{error.url} answers {error.code} {error.reason}") from error
        return self.page

    def links(self, pattern: str) -> list[str]:
        """The targets of the page's links that match the pattern."""
        return [unescape(target) for target in re.findall(r'href="([^"]+)"', self.page) if re.search(pattern, target)]
