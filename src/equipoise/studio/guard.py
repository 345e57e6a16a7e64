"""Who may ask for what, and what a browser may do with the answer."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode, urlsplit

from fastapi import Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response

from equipoise.studio.settings import LOOPBACK, Settings
from equipoise.studio.web import TOKEN, cookie

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""No script but the studio's own files; drawings bring their colours as styles."""

FRAMED = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'self'"
"""A page of tables inside a view: no script at all."""

_OWN_NAME = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
"""What a browser on this machine calls a studio that is bound to it."""

Next = Callable[[Request], Awaitable[Response]]


async def guard(request: Request, call_next: Next, settings: Settings) -> Response:
    """Check a request before it is answered, and say in the answer what a browser may do with it."""
    return protected(_refusal(request, settings) or await call_next(request))


def protected(answer: Response) -> Response:
    """The answer with what a browser may do with it."""
    for name, value in {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }.items():
        answer.headers.setdefault(name, value)
    return answer


def _refusal(request: Request, settings: Settings) -> Response | None:
    # the header as it came: where it cannot be read, a framework may put the server's own name in its place
    if settings.token is None and not _OWN_NAME.fullmatch(request.headers.get("host", "")):
        # a name that leads here from elsewhere is another site's way in
        return PlainTextResponse(f"This studio answers to {', '.join(LOOPBACK)} alone.\n", 421)
    if settings.token is not None and not _same(request.cookies.get(TOKEN), settings.token):
        if not _same(request.query_params.get("token"), settings.token):
            return PlainTextResponse("This studio needs its token: add ?token=... to the address once.\n", 401)
        rest = [(k, v) for k, v in request.query_params.multi_items() if k != "token"]
        path = "/" + request.url.path.lstrip("/")  # two slashes would be another machine's name
        answer = RedirectResponse(path + (f"?{urlencode(rest)}" if rest else ""), 303)
        answer.set_cookie(TOKEN, settings.token, **cookie(request))
        return answer
    if request.method not in ("GET", "HEAD", "POST"):
        return PlainTextResponse("GET and POST alone.\n", 405)
    if request.headers.get("sec-fetch-site") in ("cross-site", "same-site") and (
        request.headers.get("sec-fetch-mode") != "navigate" or request.headers.get("sec-fetch-dest") != "document"
    ):
        # a link of another site may lead here; its pictures and scripts may not start work here
        return PlainTextResponse("Another site may link to this studio, no more.\n", 403)
    if request.method == "POST":
        origin = request.headers.get("origin")
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none") or (
            origin is not None and urlsplit(origin).netloc != request.url.netloc
        ):
            return PlainTextResponse("Another site may not send this form.\n", 403)
        length = request.headers.get("content-length", "")
        if not length.isdigit():
            return PlainTextResponse("How long is it? A request needs its length.\n", 411)
        if int(length) > settings.upload_limit:
            return PlainTextResponse(f"More than {settings.upload_limit:,} bytes: use a folder on disk.\n", 413)
    return None


def _same(given: str | None, wanted: str) -> bool:
    return given is not None and secrets.compare_digest(given.encode(), wanted.encode())
