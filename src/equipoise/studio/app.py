"""The studio as an application: its views, its jobs, its guard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from equipoise.errors import EquipoiseError
from equipoise.studio import analysis, appraisal, basket, library, workbench
from equipoise.studio.guard import Next, guard, protected
from equipoise.studio.jobs import Jobs
from equipoise.studio.settings import Settings
from equipoise.studio.static import assets
from equipoise.studio.web import Refused, mistake
from equipoise.studio.work import warm, working


def create_app(settings: Settings | None = None, *, before: Callable[[], None] | None = warm) -> FastAPI:
    """The application, to be served by any ASGI server.

    Parameters
    ----------
    settings : default a workspace in the home folder, for this machine alone. before : done in the
    background before the first job; default what is compiled is loaded, so that the first reader does not wait.

    Raises
    ------
    OutputError : the workspace cannot be made.
    """
    chosen = settings or Settings()
    jobs = Jobs(chosen.folder("jobs"), working(chosen))
    shown = assets()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        jobs.start(before)
        yield
        jobs.close()

    app = FastAPI(title="Equipoise studio", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.settings = chosen
    app.state.jobs = jobs

    @app.middleware("http")
    async def guarded(request: Request, call_next: Next) -> Response:
        return await guard(request, call_next, chosen)

    @app.exception_handler(EquipoiseError)
    def wrong(request: Request, error: EquipoiseError) -> Response:
        return mistake(request, error)

    @app.exception_handler(Exception)
    def fault(request: Request, error: Exception) -> Response:
        # it is raised again for the log; what it says may hold a path or a value, and stays there
        said = f"a fault of the program ({type(error).__name__})"
        return protected(
            mistake(request, Refused(500, said, hint="the terminal of the studio says more; please report it"))
        )

    @app.exception_handler(HTTPException)
    def unknown(request: Request, error: HTTPException) -> Response:
        if error.status_code == 404:
            return mistake(
                request, Refused(404, f"there is nothing at {request.url.path[:200]}", hint="see the library")
            )
        return mistake(request, Refused(error.status_code, str(error.detail)))

    @app.exception_handler(RequestValidationError)
    def unfit(request: Request, error: RequestValidationError) -> Response:
        where, found = error.errors()[0]["loc"][-1], error.errors()[0].get("input")
        return mistake(
            request, Refused(400, f"{where}: {str(found)[:40]!r} cannot be used", hint="write a whole number")
        )

    @app.get("/static/{name}")
    def static(name: str) -> Response:
        if name not in shown:
            raise HTTPException(404)
        content, kind = shown[name]
        return Response(content, media_type=kind, headers={"Cache-Control": "max-age=3600"})

    for view in (library, appraisal, workbench, analysis, basket):
        app.include_router(view.router)
    return app
