"""The page of a study: `photochrom study serve`.

A participant is a random token in a cookie. Trials and pictures have random tokens too. This module
reveals which side is which only in the reply to an answer in practice.
"""

# No future annotations here: FastAPI has to see `Who`, which is local to `study_app`, as it is.
from typing import Annotated, Any, Literal

from fastapi import Cookie, FastAPI, Response
from pydantic import BaseModel, ConfigDict, Field

from photochrom.study.study import Progress, Study
from photochrom.web.serving.answer import Refused
from photochrom.web.serving.app import make_app

__all__ = ["study_app"]

_COOKIE_AGE = 90 * 24 * 3600  # seconds in which a participant can come back

Milliseconds = Annotated[float, Field(ge=0, le=1e8, allow_inf_nan=False)]


class Join(BaseModel):
    """A request to take part."""

    model_config = ConfigDict(extra="forbid")
    another: bool = False  # a different person joins


class Given(BaseModel):
    """An answer: the side that the participant thinks was recolored."""

    model_config = ConfigDict(extra="forbid")
    side: Literal["left", "right"]
    response_ms: Milliseconds
    exposure_ms: Milliseconds


def study_app(study: Study) -> FastAPI:
    """The application of one study."""
    app = make_app("study")
    # Cookies are the same for all ports: two studies on one machine need two names.
    cookie = f"photochrom-study-{study.id}"
    Who = Annotated[str, Cookie(alias=cookie)]

    def state(progress: Progress | None) -> dict[str, Any]:
        settings = study.settings
        values: dict[str, Any] = {
            "exposure": settings.exposure,
            "practice": settings.practice,
            "pairs": settings.trials + settings.catch,
            "joined": progress is not None,
        }
        if progress is not None:
            finished = progress.answered == progress.total
            values |= {"answered": progress.answered, "total": progress.total, "finished": finished}
            if finished:
                values["score"] = {"right": progress.right, "counted": progress.counted}
        return values

    @app.get("/api/session")
    def session(who: Who = "") -> dict[str, Any]:
        return state(study.progress(who))

    @app.post("/api/join")
    def join(asked: Join, response: Response, who: Who = "") -> dict[str, Any]:
        progress = study.progress(who)
        if progress is None or asked.another:
            who = study.join()
            progress = study.progress(who)
            response.set_cookie(cookie, who, max_age=_COOKIE_AGE, httponly=True, samesite="strict")
        return state(progress)

    @app.post("/api/next")
    def next_trial(who: Who = "") -> dict[str, Any]:
        trial = study.next_trial(who)
        # After next_trial, which may have replaced an abandoned trial.
        progress = study.progress(who)
        if progress is None:
            raise Refused(404, "this browser is not taking part", "reload the page")
        if trial is None:
            return {"trial": None, "session": state(progress)}
        return {
            "trial": {
                "id": trial.token,
                "left": f"/picture/{trial.left}",
                "right": f"/picture/{trial.right}",
                "practice": trial.practice,
                "number": trial.number,
                "total": trial.total,
            }
        }

    @app.post("/api/trials/{trial}/start", status_code=204)
    def start(trial: str, who: Who = "") -> None:
        if not study.start(who, trial):
            # It was shown before, on another page or in a reply that never arrived.
            raise Refused(404, "this pair is no longer open")

    @app.post("/api/trials/{trial}/answer")
    def answer(trial: str, given: Given, who: Who = "") -> dict[str, Any]:
        stored = study.answer(who, trial, given.side, given.response_ms, given.exposure_ms)
        if stored is None:
            raise Refused(404, "this pair is no longer open")
        if stored.practice:
            return {"right": stored.right, "recolored": stored.fake}
        return {}

    @app.get("/picture/{token}")
    def picture(token: str, who: Who = "") -> Response:
        jpeg = study.picture(who, token)
        if jpeg is None:
            raise Refused(404, "this picture is no longer open")
        return Response(jpeg, media_type="image/jpeg")

    return app
