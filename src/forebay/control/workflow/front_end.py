"""`general`: what NAT's and AI-Q's front ends can be told, and which of it has an effect here.

A server of ours has what they have in other settings, or always, or not at all.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Literal, NamedTuple

import pydantic
from pydantic import ConfigDict, Field

from forebay.core.json import Json

from .places import Keys

_Method = Literal["GET", "POST", "PUT", "DELETE"]


def _idle(default: Any = None, **marks: str) -> Any:
    """A field that is accepted, and changes nothing."""
    return Field(default, json_schema_extra={"has_effect": False, **marks})


class _Closed(pydantic.BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class _Cors(_Closed):
    allow_origins: list[str] | None = None
    allow_origin_regex: str | None = None
    allow_methods: list[str] | None = _idle()
    allow_headers: list[str] | None = _idle()
    allow_credentials: bool | None = _idle()
    expose_headers: list[str] | None = _idle()
    max_age: int | None = _idle()


class _Paths(_Closed):
    method: _Method
    description: str
    path: str | None = None
    websocket_path: str | None = None
    openai_api_path: str | None = None
    openai_api_v1_path: str | None = None
    legacy_path: str | None = None
    legacy_openai_api_path: str | None = None


class _Endpoint(_Paths):
    function_name: str = Field(json_schema_extra={"refers_to": "functions"})


class _StepAdaptor(_Closed):
    mode: Literal["default", "custom", "off"] = "off"
    custom_event_types: list[str] = []


class FastApi(_Closed):
    """NAT's own front end."""

    host: str = "localhost"
    port: int = Field(8000, ge=0, le=65_535)
    workers: int = Field(1, ge=1)
    db_url: str | None = None
    max_running_async_jobs: int = Field(10, ge=1)
    cors: _Cors = _Cors()
    runner_class: (
        Literal[
            "nat.front_ends.fastapi.fastapi_front_end_plugin_worker.FastApiFrontEndPluginWorker",
            "aiq_api.plugin.AIQAPIWorker",
        ]
        | None
    ) = None
    root_path: str = _idle("")
    reload: bool = _idle(False)
    scheduler_address: str | None = _idle()
    dask_workers: Literal["threads", "processes"] = _idle("processes")
    dask_log_level: str = _idle("WARNING")
    dask_worker_memory_limit: str = _idle("0")
    dask_threads_per_worker: int = _idle(1)
    step_adaptor: _StepAdaptor = _idle(_StepAdaptor())
    accepted_identity_credentials: (
        list[Literal["session_cookie", "jwt", "api_key", "basic"]] | None
    ) = _idle()
    identity_authentication: list[str] = _idle([], refers_to="authentication")
    identity_header: str | None = _idle()
    workflow: _Paths | None = _idle()
    evaluate: _Paths | None = _idle()
    evaluate_item: _Paths | None = _idle()
    oauth2_callback_path: str | None = _idle()
    endpoints: list[_Endpoint] = _idle([])
    use_gunicorn: bool = _idle(False)
    object_store: str | None = _idle(refers_to="object_stores")
    disable_legacy_routes: bool = _idle(False)
    enable_interactive_extensions: bool = _idle(False)


class AiqApi(FastApi):
    """The front end of AI-Q."""

    expiry_seconds: int = Field(86_400, ge=600, le=604_800)


FRONT_ENDS: dict[str, type[FastApi]] = {"fastapi": FastApi, "aiq_api": AiqApi}


class General(_Closed):
    """What stands in `general`; the front end is looked at by itself."""

    front_end: Any = None
    use_uvloop: bool | None = _idle()
    telemetry: dict[str, Json] = _idle({})
    per_user_workflow_timeout: timedelta = _idle(timedelta(minutes=30))
    per_user_workflow_cleanup_interval: timedelta = _idle(timedelta(minutes=5))
    enable_per_user_monitoring: bool = _idle(False)


class Said(NamedTuple):
    """A setting that a front end is told, by its keys below `general.front_end`."""

    setting: str
    keys: Keys
    value: str | int | tuple[str, ...]


def settings_in(front_end: FastApi) -> Iterator[Said]:
    """The settings that a file gives."""
    for setting, name in _SETTINGS.items():
        value = getattr(front_end, name, None)
        if name in front_end.model_fields_set and value is not None:
            yield Said(setting, (name,), value)
    if front_end.cors.allow_origins is not None:
        origins = tuple(front_end.cors.allow_origins)
        yield Said("cors_origins", ("cors", "allow_origins"), origins)
    if front_end.cors.allow_origin_regex is not None:
        pattern = front_end.cors.allow_origin_regex
        yield Said("cors_origin_regex", ("cors", "allow_origin_regex"), pattern)


_SETTINGS = {
    "host": "host",
    "port": "port",
    "workers": "workers",
    "db_url": "db_url",
    # There it is how many jobs may be running; here each worker process, of which there is one
    # unless more are asked for, runs so many.
    "concurrency": "max_running_async_jobs",
    "expiry_seconds": "expiry_seconds",
}
