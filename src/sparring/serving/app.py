"""The routes: what is asked is checked here, done by the threads of the models, and answered."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Header, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Scope

from sparring import __version__
from sparring.errors import RunError, SparringError
from sparring.model import Model, made_by
from sparring.serving import choosing, clips, counting, inverting, uploads, watching
from sparring.serving.answers import (
    DRAWINGS,
    GIF,
    MP4,
    PICTURES,
    PNG,
    SVG,
    TEXTS,
    drawings_answer,
    form_of,
    is_quick,
    pictures_answer,
    texts_answer,
)
from sparring.serving.batching import Answer, total
from sparring.serving.errors import KINDS, Failure, RequestError
from sparring.serving.jobs import Job, Workshop
from sparring.serving.limits import Guard
from sparring.serving.models import Card, Served, Shelf
from sparring.serving.page import Pages
from sparring.serving.requests import ApplyFields, InvertFields, Part, SampleRequest, fields_of, in_words
from sparring.tasks import generate, graphs, sequences, video

ABOUT = """Samples of trained generators, and pictures changed by them. The same seed gives the same bytes, alone or in
company. Errors are `{"error": {"kind", "message"}}`."""

Accept = Annotated[
    str, Header(description="image/png, video/mp4, image/gif, application/zip, application/json or text/plain.")
]
Number = Annotated[str, Path(max_length=64, description="As `/v1/invert` gives it.")]
Name = Annotated[str, Path(max_length=255, description="As `/v1/models` gives it.")]


class Health(BaseModel):
    """That the server is there."""

    status: str
    version: str
    runs: int


class Models(BaseModel):
    """All that is served."""

    runs: list[Card]


class Samples(BaseModel):
    """What `/v1/sample` answers as JSON: pictures or clips in base64, and their type; or texts, or SMILES of molecules.

    parts: of pictures that the discriminator chose: what a mixture makes each of again. drawings: of molecules, where
    they were asked for: SVG, empty for a sample that is no molecule. frames, fps: of each clip; the rate is that of the
    file, which in a GIF is rounded.
    """

    pictures: list[str] | None = None
    type: str | None = None
    parts: list[Part] | None = None
    texts: list[str] | None = None
    drawings: list[str] | None = None
    clips: list[str] | None = None
    frames: int | None = None
    fps: float | None = None


def failures(*kinds: int) -> dict[int | str, dict[str, Any]]:
    """What the document says of the errors of a route."""
    return {status: {"model": Failure} for status in kinds}


BINARY = {"schema": {"type": "string", "format": "binary"}}
ALWAYS = failures(401, 403)


def create_app(shelf: Shelf, counts: counting.Counts, token: str | None = None) -> ASGIApp:
    """The application, an ASGI one, around the runs of a shelf."""

    workshop = Workshop()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(workshop.close)
        await run_in_threadpool(shelf.close)

    app = FastAPI(
        title="sparring",
        version=__version__,
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses=ALWAYS,
    )
    counts.waiting(lambda: total(shelf.lines()))
    add_errors(app)
    add_work(app, shelf)  # first, since routes are tried in turn, and these are asked for most
    add_page(app)
    add_runs(app, shelf)
    add_jobs(app, shelf, workshop)

    @app.get("/health", tags=["server"])
    def health() -> Health:
        """Whether the server answers."""
        return Health(status="ok", version=__version__, runs=len(shelf.served))

    @app.get("/metrics", tags=["server"], response_class=Response, responses={200: {"content": {counting.TYPE: {}}}})
    def metrics() -> Response:
        """Requests, latencies, the queue and batches, for Prometheus."""
        return Response(counts.text(), media_type=counting.TYPE)

    def seen(scope: Scope, status: int, seconds: float) -> None:
        counts.request(getattr(scope.get("route"), "path", "other"), status, seconds)

    return Guard(app, token, seen)


def add_errors(app: FastAPI) -> None:
    """Every error in one shape."""

    @app.exception_handler(HTTPException)
    def refused(_: Request, error: HTTPException) -> Response:
        known = error if isinstance(error, RequestError) else as_request_error(error)
        return answer_of(known)

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> Response:
        return answer_of(RequestError("invalid", in_words(error.errors())))

    @app.exception_handler(SparringError)
    def wrong(_: Request, error: SparringError) -> Response:
        return answer_of(RequestError("not_ready" if isinstance(error, RunError) else "invalid", str(error)))

    @app.exception_handler(ClientDisconnect)
    def gone(_: Request, error: ClientDisconnect) -> Response:
        # Nobody reads it, but it is counted, and a traceback for each would fill the log.
        return answer_of(RequestError("invalid", "the connection ended before the body had come"))

    @app.exception_handler(Exception)
    def broken(_: Request, error: Exception) -> Response:
        return answer_of(RequestError("internal", "something went wrong in the server; its log says what"))


def as_request_error(error: HTTPException) -> RequestError:
    """What Starlette refuses by itself, in our shape."""
    kind = KINDS.get(error.status_code, "invalid")
    return RequestError(kind, str(error.detail), dict(error.headers or {}))


def answer_of(error: RequestError) -> Response:
    """The answer to a request that is not done."""
    return Response(error.body, error.status_code, dict(error.headers or {}), "application/json")


def add_page(app: FastAPI) -> None:
    """What people see, and the files that it is made of."""
    pages = Pages.read()

    @app.get("/", include_in_schema=False)
    def page(request: Request) -> Response:
        return pages.answer("index.html", request.headers.get("if-none-match"))

    @app.get("/page/{name}", include_in_schema=False)
    def part(name: str, request: Request) -> Response:
        return pages.answer(name, request.headers.get("if-none-match"))


def add_runs(app: FastAPI, shelf: Shelf) -> None:
    """What is served, and how each run goes."""

    @app.get("/v1/models", tags=["runs"])
    def models() -> Models:
        """The runs with their task, what can be asked of them, their state and quality."""
        shelf.look()
        return Models(runs=[served.card() for served in list(shelf.served.values())])

    @app.get("/v1/runs/{name}", tags=["runs"], responses=failures(404, 422))
    def run(name: Name) -> watching.Watch:
        """How a run goes: progress, curves, events, and the names of its samples."""
        return watching.watch(shelf[name])

    @app.get("/v1/runs/{name}/changed", tags=["runs"], responses=failures(404, 422))
    def changed(name: Name) -> str:
        """A text that is another when something in the run's folder has changed."""
        run = shelf[name].run
        return watching.changed(run) if run else ""

    @app.get(
        "/v1/runs/{name}/samples/{file}",
        tags=["runs"],
        response_class=Response,
        responses=failures(404, 422) | {200: {"content": {PNG: BINARY, "text/plain": {}}}},
    )
    def sample_file(name: Name, file: Annotated[str, Path(max_length=64)]) -> Response:
        """One of the sample files of a run: a grid of pictures, or texts."""
        content, kind = watching.sample_file(shelf[name], file)
        return Response(content, media_type=kind)


class SampleRoute(APIRoute):
    """A route whose function is given what is asked for, and the Accept header; the document is made of its signature.

    Pydantic alone reads the body: FastAPI's way to any function of any parts of a request takes a quarter of the time
    that a request for one small picture takes beside the picture.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What Starlette is given."""

        async def handle(request: Request) -> Response:
            asked = fields_of(await request.body(), request.headers.get("content-type", ""), SampleRequest)
            answer: Response = await self.endpoint(asked, request.headers.get("accept", ""))
            return answer

        return handle


def add_work(app: FastAPI, shelf: Shelf) -> None:
    """What models are asked for."""
    files = dict.fromkeys((PNG, MP4, GIF, "application/zip"), BINARY)
    produced: Mapping[str, Any] = files | {"text/plain": {}, SVG: {}}
    samples = APIRouter(route_class=SampleRoute)

    @samples.post(
        "/v1/sample",
        tags=["models"],
        response_model=Samples,
        responses=failures(404, 406, 408, 409, 413, 422, 429, 503) | {200: {"content": produced}},
    )
    async def sample(asked: SampleRequest, accept: Accept = "") -> Response:
        """New pictures (PNG, one or a grid; a zip; JSON), texts (JSON; one a line), molecules (also as SVG), or clips
        (a film of one or several; a zip; JSON)."""
        served = shelf[asked.run]
        line = served.jobs()
        blueprint = served.blueprint()
        if isinstance(blueprint, video.Blueprint):
            order = clips.ordered(blueprint, asked, accept)
            made = await waited(line.call(lambda loaded: clips.filmed(loaded, order), order.frames))
            return await run_in_threadpool(clips.answer, order, made.value, by(served, made))
        refuse_wishes_of_clips(asked, "pictures" if blueprint is None else made_by(blueprint))
        if not isinstance(blueprint, sequences.Blueprint | graphs.Blueprint):
            form = form_of(accept, PICTURES)
            refuse_wishes_of_texts(asked)
            if asked.best_of > 1:
                if isinstance(blueprint, generate.Blueprint):
                    choosing.refuse_too_many(blueprint, asked)
                made = await waited(
                    line.call(lambda loaded: choosing.chosen(loaded, asked), asked.count * asked.best_of)
                )
                found, headers = made.value, by(served, made)
                return await run_in_threadpool(pictures_answer, found.pictures, form, headers, found.told())
            made = await waited(line.draw(asked))
            if is_quick(made.value, form):  # a thread would take longer to take it up
                return pictures_answer(made.value, form, by(served, made))
            return await run_in_threadpool(pictures_answer, made.value, form, by(served, made))
        drawn = asked.format == "svg"
        if drawn and blueprint.task != "molecules":
            raise RequestError("invalid", "format: svg is for molecules, and this generator writes texts")
        form = form_of(accept, DRAWINGS if drawn else TEXTS)
        made = await waited(line.call(lambda loaded: written(loaded.model, asked), asked.count * asked.best_of))
        if drawn:
            return await run_in_threadpool(drawings_answer, made.value, form, by(served, made))
        return texts_answer(made.value, form, by(served, made))

    app.include_router(samples)

    @app.post(
        "/v1/apply",
        tags=["models"],
        response_class=Response,
        openapi_extra=uploads.APPLY,
        responses=failures(404, 406, 408, 409, 413, 422, 429, 503) | {200: {"content": {PNG: BINARY}}},
    )
    async def apply(request: Request) -> Response:
        """What a run makes of a picture: restored, or in another style; PNG. The picture is not kept."""
        form_of(request.headers.get("accept", ""), (PNG,))
        upload = await uploads.receive(request, ApplyFields, ("picture", "mask"))
        served = shelf[upload.fields.run]
        made = await waited(served.jobs().call(lambda loaded: uploads.change(loaded.model, upload)))
        return Response(made.value, media_type=PNG, headers=by(served, made))


def add_jobs(app: FastAPI, shelf: Shelf, workshop: Workshop) -> None:
    """What takes longer, and is asked for again until it is done."""

    @app.post(
        "/v1/invert",
        tags=["models"],
        status_code=202,
        openapi_extra=uploads.INVERT,
        responses=failures(404, 408, 409, 413, 422, 429, 503),
    )
    async def invert(request: Request, response: Response) -> inverting.InvertJob:
        """Begins to look for the latent whose picture is most like one; `Location` is where to ask for it."""
        upload = await uploads.receive(request, InvertFields)
        served = shelf[upload.fields.run]
        work = await run_in_threadpool(inverting.searching, served, upload)
        job = workshop.submit(served.name, work)
        response.headers["Location"] = f"/v1/jobs/{job.id}"
        return state_of(workshop, job)

    @app.get("/v1/jobs/{id}", tags=["models"], responses=failures(404, 422))
    def job(id: Number) -> inverting.InvertJob:
        """How far a search is, and what it found: kept for ten minutes."""
        return state_of(workshop, workshop[id])

    @app.delete("/v1/jobs/{id}", tags=["models"], status_code=204, responses=failures(404, 422))
    def drop(id: Number) -> None:
        """Calls a search off, or throws away what it found."""
        workshop.drop(workshop[id])


def state_of(workshop: Workshop, job: Job) -> inverting.InvertJob:
    """What clients are told of a job."""
    return inverting.InvertJob(
        id=job.id,
        run=job.run,
        state=job.state,
        ahead=workshop.ahead(job),
        step=job.step,
        steps=job.steps,
        message=job.message,
        result=job.result if job.state == "done" else None,
    )


def refuse_wishes_of_clips(asked: SampleRequest, makes: str) -> None:
    """Raises: RequestError for what clips alone have."""
    of_clips = ("frames", "fps", "speed", "loop", "interpolate", "same", "motion_seed", "first")
    if asked.wishes(*of_clips) or asked.format in clips.TYPES:
        raise RequestError(
            "invalid",
            "frames, fps, speed, loop, interpolate, same, motion_seed, first and the formats of films are for clips, "
            f"and this generator makes {makes}",
        )


def refuse_wishes_of_texts(asked: SampleRequest) -> None:
    """Raises: RequestError for what pictures know nothing of."""
    if asked.wishes("temperature", "top_p", "prompt", "scaffold", "format"):
        raise RequestError(
            "invalid",
            "temperature, top_p, prompt, scaffold and format are for texts and molecules, and this generator makes "
            "pictures",
        )


def written(model: Model, asked: SampleRequest) -> Sequence[str]:
    """The texts of a request.

    Raises: SparringError as `Model.sample`; RequestError for what texts know nothing of.
    """
    if asked.wishes("mix", "label", "truncation", "edit"):
        raise RequestError(
            "invalid", "mix, label, truncation and edit are for pictures, and this generator writes texts"
        )
    made = model.sample(
        asked.count,
        asked.seed,
        start=asked.start,
        temperature=asked.temperature,
        top_p=asked.top_p,
        prompt=asked.prompt,
        best_of=asked.best_of,
        scaffold=asked.scaffold,
    )
    assert isinstance(made, list)
    return made


async def waited(future: Future[Answer]) -> Answer:
    """The answer of a line, while the event loop does other things. Raises: what the job raised."""
    return await asyncio.wrap_future(future)


def by(served: Served, made: Answer) -> dict[str, str]:
    """The headers that say which generator an answer is by."""
    return {"X-Model": made.digest, "X-Run": served.name.encode("ascii", "backslashreplace").decode()}
