"""A stand-in for wandb's server on this machine, of the standard library: it answers what a real client asks
and keeps what it is sent. It proves what was sent, not what a real server would show of it.

Operations that it has no answer for are collected in `unknown`, so that a new client fails with their names.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "0" * 40
ENTITY = {"id": "entity", "name": "lab"}


@dataclass
class Received:
    """One run, as it arrived."""

    facts: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    exit_code: int | None = None


class Loopback(ThreadingHTTPServer):
    """runs: by id. files, artifacts: name -> bytes, as uploaded. views: specs of saved workspaces."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.lock = threading.Lock()
        self.runs: dict[str, Received] = {}
        self.files: dict[str, bytes] = {}
        self.views: list[dict[str, Any]] = []
        self.unknown: set[str] = set()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are no news."""

    def answer(self, operation: str, variables: dict[str, Any]) -> Any:
        given = variables.get("input") or variables
        answers = getattr(self, f"on_{operation}", None)
        if answers is None:
            self.unknown.add(operation)
            return None
        with self.lock:
            return answers(given)

    def on_Viewer(self, given: Any) -> Any:
        return {
            "viewer": {
                "id": "user",
                "username": "someone",
                "entity": "lab",
                "flags": "{}",
                "teams": {"edges": []},
            }
        }

    def on_ServerFeaturesQuery(self, given: Any) -> Any:
        return {"serverInfo": {"features": []}}

    def on_OrganizationCoreWeaveOrganizationID(self, given: Any) -> Any:
        return {"entity": {"organization": None}}

    def on_RunResumeStatus(self, given: Any) -> Any:
        run = self.runs.get(given["name"])
        bucket = run and {
            "name": given["name"],
            "id": given["name"],
            "historyLineCount": len(run.history),
            "eventsLineCount": 0,
            "logLineCount": len(run.log),
            "events": "[]",
            "tags": [],
            "wandbConfig": "{}",
            "history": json.dumps([json.dumps(row) for row in run.history[-1:]]),
            "summaryMetrics": json.dumps(run.summary),
            "config": json.dumps(run.config),
        }
        return {"model": {"id": "project", "name": given["project"], "entity": ENTITY, "bucket": bucket}}

    def on_UpsertBucket(self, given: Any) -> Any:
        inserted = given["name"] not in self.runs
        run = self.runs.setdefault(given["name"], Received())
        run.facts |= {key: value for key, value in given.items() if value is not None}
        if given.get("config"):
            run.config |= {k: v["value"] for k, v in json.loads(given["config"]).items()}
        if given.get("summaryMetrics"):
            run.summary |= json.loads(given["summaryMetrics"])
        project = {"id": "project", "name": run.facts.get("project", "psearch"), "entity": ENTITY}
        bucket = {
            "id": given["name"],
            "name": given["name"],
            "displayName": run.facts.get("displayName"),
            "description": None,
            "config": None,
            "sweepName": None,
            "project": project,
            "historyLineCount": len(run.history),
        }
        return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}

    def on_RunStoppedStatus(self, given: Any) -> Any:
        return {"project": {"run": {"stopped": False}}}

    def on_CreateRunFiles(self, given: Any) -> Any:
        files = [
            {"name": name, "uploadUrl": f"{self.url}/store/{given['run']}/{name}"} for name in given["files"]
        ]
        return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}

    def on_MarkRunFilesUploaded(self, given: Any) -> Any:
        return {"markRunFilesUploaded": {"success": True}}

    def on_ArtifactType(self, given: Any) -> Any:
        return {"project": {"artifact": None}}

    def on_CreateArtifact(self, given: Any) -> Any:
        sequence = {"id": "sequence", "latestArtifact": None}
        artifact = {"id": given["artifactCollectionName"], "state": "PENDING", "artifactSequence": sequence}
        return {"createArtifact": {"artifact": artifact}}

    def on_CreateArtifactManifest(self, given: Any) -> Any:
        url = f"{self.url}/store/{given['artifactID']}/manifest.json"
        file = {
            "id": "file",
            "name": given["name"],
            "displayName": given["name"],
            "uploadUrl": url,
            "uploadHeaders": [],
        }
        return {"createArtifactManifest": {"artifactManifest": {"id": "manifest", "file": file}}}

    def on_CreateArtifactFiles(self, given: Any) -> Any:
        edges = [
            {
                "node": {
                    "id": spec["name"],
                    "name": spec["name"],
                    "displayName": spec["name"],
                    "storagePath": "",
                    "uploadUrl": f"{self.url}/store/{spec['artifactID']}/{spec['name']}",
                    "uploadHeaders": [],
                    "uploadMultipartUrls": None,
                    "artifact": {"id": spec["artifactID"]},
                }
            }
            for spec in given["artifactFiles"]
        ]
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def on_CommitArtifact(self, given: Any) -> Any:
        return {"commitArtifact": {"artifact": {"id": given["artifactID"], "digest": "digest"}}}

    def on_UpsertView2(self, given: Any) -> Any:
        self.views.append({**given, "spec": json.loads(given["spec"])})
        return {
            "upsertView": {
                "view": {
                    "id": "view",
                    "name": given.get("name"),
                    "displayName": "",
                    "type": "project-view",
                    "entityName": "lab",
                },
                "inserted": True,
            }
        }

    def stream(self, run: str, sent: dict[str, Any]) -> None:
        """What a run streams: history, summary, log lines, the end."""
        with self.lock:
            received = self.runs[run]
            for name, part in (sent.get("files") or {}).items():
                lines = [line for line in part["content"] if line]
                if name == "wandb-history.jsonl":
                    received.history += map(json.loads, lines)
                elif name == "wandb-summary.json":
                    received.summary |= json.loads(lines[-1])
                elif name == "output.log":
                    received.log += lines
            if sent.get("complete"):
                received.exit_code = sent.get("exitcode")


class Handler(BaseHTTPRequestHandler):
    """POST /graphql, POST /files/…/file_stream, PUT /store/…; whatever else is not found."""

    server: Loopback
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.body()
        if self.path == "/graphql":
            asked = json.loads(body)
            named = asked.get("operationName") or re.search(r"(?:query|mutation)\s+(\w+)", asked["query"])[1]  # type: ignore[index]
            self.reply({"data": self.server.answer(named, asked.get("variables") or {})})
        elif self.path.endswith("/file_stream"):
            self.server.stream(self.path.split("/")[-2], json.loads(body))
            self.reply({"exitcode": None, "limits": {}})
        else:
            self.reply({}, status=404)

    def do_PUT(self) -> None:
        self.server.files[self.path.removeprefix("/store/")] = self.body()
        self.reply({})

    def do_GET(self) -> None:
        self.reply({}, status=404)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            return b"".join(self.chunks())
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def reply(self, content: Any, *, status: int = 200) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@contextmanager
def loopback() -> Iterator[Loopback]:
    """The server, until the block ends."""
    with Loopback() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
