"""The description of the service: what FastAPI cannot know, and all of it as one plain page."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi.responses import Response

from photochrom.web.studio.schema import Problem

__all__ = [
    "BODY_OF_PHOTO",
    "OF_PHOTO",
    "WHY",
    "completed_description",
    "docs_page",
    "made_answer",
    "problem_responses",
]

WHY = {
    404: "unknown photo or prediction",
    410: "the photo made room for others; send it again",
    415: "not a photo of a supported format",
    422: "the request cannot be understood or used",
}
_COMMON = {
    400: "this is not HTTP, or its head is too long",
    403: "the key is missing, or the request came from another site's page",
    408: "the body stopped arriving, or arrived too slowly; send it again",
    413: "too many bytes or pixels",
    421: "the server doesn't go by the host name in the request",
    429: "too many requests are waiting; try again after Retry-After seconds",
    500: "an error in the server",
    503: "it took too long, or the server cannot do it now",
}
"""Errors that any operation can return."""


def problem_responses(*more: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route: 422, and these statuses of `WHY`."""
    return {
        status: {"model": Problem, "description": WHY[status]} for status in sorted({422, *more})
    }


OF_PHOTO = problem_responses(404, 410)
BODY_OF_PHOTO = {
    "requestBody": {
        "required": True,
        "description": "the bytes of the file; they alone decide its format",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def made_answer(*types: str, **more: Any) -> dict[str, Any]:
    """The answers of a route that returns a file of these types."""
    content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in types}
    return {
        "response_class": Response,
        "responses": {200: {"description": "the picture", "content": content}, **OF_PHOTO, **more},
    }


def completed_description(document: dict[str, Any]) -> dict[str, Any]:
    """An OpenAPI document, completed with what every operation shares: the key and the errors."""
    components = document["components"]
    components["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "description": "the key in the address that the server prints when other machines may "
            "use it",
        }
    }
    document["security"] = [{}, {"key": []}]
    problem = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    components["responses"] = {
        f"Error{status}": {"description": why, "content": problem}
        for status, why in _COMMON.items()
    }
    for methods in document["paths"].values():
        for operation in methods.values():
            for status in _COMMON:
                operation["responses"][str(status)] = {
                    "$ref": f"#/components/responses/Error{status}"
                }
    return document


def docs_page(document: dict[str, Any]) -> str:
    """The document as HTML that needs no script, no style and no request.

    Parameters
    ----------
    document : an OpenAPI 3.1 document, as FastAPI makes it
    """
    info = document["info"]
    schemas = document.get("components", {}).get("schemas", {})
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{escape(info['title'])}: the service</title></head><body><main>",
        f"<h1>{escape(info['title'])} {escape(info['version'])}: the service</h1>",
        f"<p>{escape(info.get('description', ''))}</p>",
        "<p>For programs, there is <a href='/api/openapi.json'>openapi.json</a> (OpenAPI). "
        "To color a file in one line:</p>",
        "<pre>curl --data-binary @old.jpg http://127.0.0.1:8017/api/color -o new.jpg</pre>",
        "<p>If other machines can use the server, add "
        "<code>-H 'Authorization: Bearer KEY'</code>.</p>",
    ]
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            parts += _route(method.upper(), path, route)
    common = document.get("components", {}).get("responses", {})
    if common:
        parts.append("<h2>Errors that any request can return</h2><ul>")
        for name, response in common.items():
            status = name.removeprefix("Error")
            parts.append(f"<li>{escape(status)}: {escape(response['description'])}</li>")
        parts.append("</ul>")
    parts.append("<h2>Answers</h2>")
    for name, schema in schemas.items():
        if "ValidationError" not in name:
            parts += _schema(name, schema)
    parts.append("</main></body></html>")
    return "\n".join(parts)


def _route(method: str, path: str, route: dict[str, Any]) -> Iterator[str]:
    yield f"<h2><code>{method} {escape(path)}</code></h2>"
    yield f"<p>{escape(route.get('description', ''))}</p>"
    parameters = [p for p in route.get("parameters", []) if p["in"] == "query"]
    body = route.get("requestBody")
    if body is not None:
        kinds = ", ".join(_kind(c.get("schema", {})) or k for k, c in body["content"].items())
        yield f"<p>Body: {escape(body.get('description', ''))} ({escape(kinds)})</p>"
    if parameters:
        yield "<ul>"
        for p in parameters:
            schema = p["schema"]
            default = "" if schema.get("default") is None else f", by default {schema['default']}"
            need = ", required" if p.get("required") else default
            about = p.get("description") or schema.get("description") or ""
            yield (
                f"<li><code>{escape(p['name'])}</code> ({escape(_kind(schema))}"
                f"{escape(need)}){': ' if about else ''}{escape(about)}</li>"
            )
        yield "</ul>"
    yield "<ul>"
    for status, response in route["responses"].items():
        if "$ref" in response:
            continue  # the same for every route, listed once
        kinds = ", ".join(
            kind if "schema" not in content or kind != "application/json"
            else _kind(content["schema"])
            for kind, content in response.get("content", {}).items()
        )  # fmt: skip
        told = f"{response.get('description', '')}{f' ({kinds})' if kinds else ''}"
        yield f"<li>{escape(status)}: {escape(told)}</li>"
    yield "</ul>"


def _schema(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"<h3 id='{escape(name)}'>{escape(name)}</h3><p>{escape(schema.get('description', ''))}"
    yield "</p><ul>"
    for field, value in schema.get("properties", {}).items():
        about = value.get("description", "")
        yield (
            f"<li><code>{escape(field)}</code> ({escape(_kind(value))})"
            f"{': ' if about else ''}{escape(about)}</li>"
        )
    yield "</ul>"


def _kind(schema: dict[str, Any]) -> str:
    """A type in a word or two."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        kinds = [_kind(part) for part in schema["anyOf"] if part.get("type") != "null"]
        return " or ".join(kinds)
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "prefixItems" in schema:
        return "[" + ", ".join(_kind(part) for part in schema["prefixItems"]) + "]"
    if "items" in schema:
        return f"list of {_kind(schema['items'])}"
    kind = str(schema.get("type", ""))
    low, high = schema.get("minimum"), schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is not None and high is not None:
        return f"{kind} {low:g} to {high:g}{'' if 'maximum' in schema else ' exclusive'}"
    return kind
