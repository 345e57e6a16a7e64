"""What every view shares: templates, the checks on a request, and the answer to a mistake."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from functools import cache
from typing import Annotated, Any, Literal, TypedDict
from urllib.parse import urlencode

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from equipoise import __version__
from equipoise.errors import EquipoiseError
from equipoise.studio.settings import Settings

CSRF, TOKEN, BASKET = "equipoise_form", "equipoise_token", "equipoise_basket"
"""Names of cookies."""

MINUS = "\N{MINUS SIGN}"


class Refused(EquipoiseError):
    """A request that is not carried out: the wrong token, another site's form, too much data."""

    def __init__(self, status: int, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


def settings_of(request: Request) -> Settings:
    """The settings of the studio that is asked."""
    found: Settings = request.app.state.settings
    return found


class _Cookie(TypedDict):
    httponly: bool
    samesite: Literal["strict"]
    secure: bool


def cookie(request: Request) -> _Cookie:
    """How a cookie is set: for no script, for this site alone, and over TLS alone where a reader came by it."""
    return {"httponly": True, "samesite": "strict", "secure": request.url.scheme == "https"}


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("equipoise.studio", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["percent"] = lambda share: "–" if share is None else f"{100 * share:.1f} %"
    made.filters["number"] = lambda value, digits=3: "–" if value is None else f"{value:.{digits}g}".replace("-", MINUS)
    made.filters["signed"] = lambda value: f"{value:+.1f}".replace("-", MINUS)
    made.filters["query"] = lambda pairs: urlencode([(k, v) for k, v in pairs if v not in (None, "")])
    return made


def page(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """A view; asked by HTMX for a part, the part alone: a template's block ``part``."""
    form = request.cookies.get(CSRF) or secrets.token_urlsafe(24)
    basket = [item for item in request.cookies.get(BASKET, "").split("~") if item]
    whole = {"path": request.url.path, "version": __version__, "form_token": form, "basket": basket, **context}
    found = _environment().get_template(template)
    if request.headers.get("hx-request") == "true" and "part" in found.blocks:
        text = "".join(found.blocks["part"](found.new_context(whole)))
    else:
        text = found.render(whole)
    answer = HTMLResponse(text, status_code=status)
    if CSRF not in request.cookies:
        answer.set_cookie(CSRF, form, **cookie(request))
    return answer


def job_page(request: Request, template: str, *, again: bool, **context: Any) -> HTMLResponse:
    """A job's view; asked ``again`` from the place of its progress, it takes the place of the whole job around it.

    An answer that comes late, when that place has left the page, changes nothing.
    """
    answer = page(request, template, **context)
    if again:
        answer.headers["HX-Retarget"], answer.headers["HX-Reswap"] = "closest #job", "outerHTML"
    return answer


def mistake(request: Request, error: EquipoiseError) -> HTMLResponse:
    """A mistake, told as the command line tells it: what is wrong and how to mend it."""
    status = error.status if isinstance(error, Refused) else 400
    return page(request, "mistake.html.j2", status=status, message=error.message, hint=error.hint)


def see(address: str, **query: Any) -> RedirectResponse:
    """On to another view after something was changed."""
    tail = urlencode({k: v for k, v in query.items() if v not in (None, "")})
    return RedirectResponse(f"{address}?{tail}" if tail else address, status_code=303)


async def _form(request: Request) -> AsyncIterator[Mapping[str, Any]]:
    async with request.form(max_files=200, max_fields=2_000) as form:
        _own(request, form)
        yield form


def _own(request: Request, form: Mapping[str, Any]) -> None:
    given, kept = form.get("form_token"), request.cookies.get(CSRF)
    if not isinstance(given, str) or not kept or not secrets.compare_digest(given.encode(), kept.encode()):
        raise Refused(403, "this form is not one of this studio's, or it is old", hint="load the page again")


Form = Annotated[Mapping[str, Any], Depends(_form)]
"""A form of this studio's own: one that another site sends is refused."""


def uploaded(form: Mapping[str, Any], name: str) -> bytes:
    """The bytes of a file of a form; none where none was chosen."""
    file = getattr(form.get(name), "file", None)
    return b"" if file is None else bytes(file.read())


def download(content: bytes | str, name: str, kind: str) -> Response:
    """A file to keep."""
    return Response(content, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})
