"""The page of a study: `photochrom study serve`.

A participant is a random token in a cookie; a trial and its pictures have random tokens as well.
Which side is which leaves this module only as the reply to an answer to a practice trial.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Cookie, FastAPI, HTTPException, Response
from pydantic import BaseModel, ConfigDict, Field

from photochrom.study.study import Progress, Study
from photochrom.web.serving.app import make_app

__all__ = ["study_app"]

_COOKIE_AGE = 90 * 24 * 3600  # seconds in which a participant can come back

Milliseconds = Annotated[float, Field(ge=0, le=1e8, allow_inf_nan=False)]


class Join(BaseModel):
    """Asks to take part."""

    model_config = ConfigDict(extra="forbid")
    anew: bool = False  # as another person than before


class Given(BaseModel):
    """An answer: the side that was called recolored."""

    model_config = ConfigDict(extra="forbid")
    side: Literal["left", "right"]
    response_ms: Milliseconds
    exposure_ms: Milliseconds


def study_app(study: Study) -> FastAPI:
    """The application of one study."""
    app = make_app("study")
    # Cookies do not tell ports apart: two studies on one machine need two names.
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
        if progress is None or asked.anew:
            who = study.join()
            progress = study.progress(who)
            response.set_cookie(cookie, who, max_age=_COOKIE_AGE, httponly=True, samesite="strict")
        return state(progress)

    @app.post("/api/next")
    def next_trial(who: Who = "") -> dict[str, Any]:
        trial = study.next_trial(who)
        # After next_trial, which may have put another trial in the place of an abandoned one.
        progress = study.progress(who)
        if progress is None:
            raise HTTPException(404, "nobody takes part from this browser; reload the page")
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
            # Shown before, be it on another page or for a reply that never arrived.
            raise HTTPException(404, "this pair is not open any more")

    @app.post("/api/trials/{trial}/answer")
    def answer(trial: str, given: Given, who: Who = "") -> dict[str, Any]:
        stored = study.answer(who, trial, given.side, given.response_ms, given.exposure_ms)
        if stored is None:
            raise HTTPException(404, "this pair is not open any more")
        if stored.practice:
            return {"right": stored.right, "recolored": stored.fake}
        return {}

    @app.get("/picture/{token}")
    def picture(token: str, who: Who = "") -> Response:
        jpeg = study.picture(who, token)
        if jpeg is None:
            raise HTTPException(404, "this picture is not open any more")
        return Response(jpeg, media_type="image/jpeg")

    return app
