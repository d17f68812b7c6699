"""A small server that speaks as much of the Hugging Face Hub's protocol as pushing and pulling a generator takes."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

OWNER, READER = "hf_owner", "hf_reader"
"""Tokens: of anna, who may write under her name, and of somebody else, who may not."""


@dataclass
class Repository:
    """Files by commit; the name of a branch is that of its newest."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"0" * 40: {".gitattributes": b""}})
    branches: dict[str, str] = field(default_factory=lambda: {"main": "0" * 40})
    messages: list[str] = field(default_factory=list)

    def commit(self, branch: str, files: dict[str, bytes], message: str) -> str:
        name = hashlib.sha1(f"{message}{len(self.commits)}".encode()).hexdigest()
        self.commits[name], self.branches[branch] = files, name
        self.messages.append(message)
        return name


class Hub:
    """What the server holds."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.fetched: list[str] = []
        self.address = ""
        self.broken = False

    def add(self, name: str, files: dict[str, bytes], private: bool = False) -> Repository:
        made = self.repositories[name] = Repository(private)
        made.commit("main", files, "by hand")
        return made


def is_large(path: str) -> bool:
    return path.endswith((".safetensors", ".npz"))


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""

    def answer(self, status: int, content: Any = None, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        path = unquote(urlsplit(self.path).path)
        if self.hub.broken:
            return self.answer(500, {"error": "out of order"})
        if path == "/api/repos/create":
            return self.create(json.loads(body), token)
        if path == "/api/validate-yaml":
            bad = "license: nonsense" in json.loads(body)["content"]
            return self.answer(400 if bad else 200, {"errors": [{"message": '"license" must be one of'}] * bad})
        if path.startswith("/large/"):
            self.hub.large[path.removeprefix("/large/")] = body
            return self.answer(200, {})
        found = re.match(r"(?:/api/models)?/([\w.-]+/[\w.-]+?)(?:\.git)?(?:/(.*))?$", path)
        assert found, path
        name, rest = found[1], found[2] or ""
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and token != OWNER):
            return self.answer(404 if token else 401, {"error": "not found"}, X_Error_Code="RepoNotFound")
        if self.command in ("POST", "PUT") and token != OWNER:
            return self.answer(403, {"error": "forbidden"})
        what, _, argument = rest.partition("/")
        self.about(name, repository, what, argument, body)

    do_GET = do_HEAD = do_POST = do_PUT = respond  # noqa: N815

    def create(self, wanted: dict[str, Any], token: str) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        if token != OWNER or wanted["organization"] != "anna":
            return self.answer(403 if token else 401, {"error": "not allowed"})
        there = name in self.hub.repositories
        if not there:
            private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
            self.hub.repositories[name] = Repository(private)
        self.answer(409 if there else 200, {"url": f"{self.hub.address}/{name}", "error": "there already"})

    def about(self, name: str, repository: Repository, what: str, argument: str, body: bytes) -> None:
        revision, _, file = argument.partition("/")
        commit = repository.branches.get(revision or "main", revision)
        files = repository.commits.get(commit)
        if what == "branch":
            there = argument in repository.branches
            repository.branches.setdefault(argument, repository.branches["main"])
            return self.answer(409 if there else 200, {"error": "there already"})
        if what == "info":  # /info/lfs/objects/batch
            objects = [
                {**each, "actions": {"upload": {"href": f"{self.hub.address}/large/{each['oid']}"}}}
                for each in json.loads(body)["objects"]
            ]
            return self.answer(200, {"transfer": "basic", "objects": objects})
        if files is None:
            return self.answer(404, {"error": "no such revision"}, X_Error_Code="RevisionNotFound")
        match what:
            case "" | "revision":
                siblings = [{"rfilename": each} for each in files]
                self.answer(200, {"id": name, "sha": commit, "private": repository.private, "siblings": siblings})
            case "tree":
                self.answer(200, [entry(each, content) for each, content in files.items()])
            case "preupload":
                modes = [
                    {
                        "path": each["path"],
                        "uploadMode": "lfs" if is_large(each["path"]) else "regular",
                        "shouldIgnore": False,
                    }
                    for each in json.loads(body)["files"]
                ]
                self.answer(200, {"files": modes})
            case "commit":
                made = self.commit(repository, revision, dict(files), body)
                address = f"{self.hub.address}/{name}/commit/{made}"
                self.answer(200, {"commitUrl": address, "commitOid": made, "success": True})
            case "resolve" if file in files:
                self.hub.fetched += [file] * (self.command == "GET")
                self.answer(200, files[file], ETag=f'"{git_hash(files[file])}"', X_Repo_Commit=commit)
            case _:
                self.answer(404, {"error": "no such entry"}, X_Error_Code="EntryNotFound")

    def commit(self, repository: Repository, branch: str, files: dict[str, bytes], body: bytes) -> str:
        message = ""
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            match line["key"]:
                case "header":
                    message = value["summary"]
                case "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    files[value["path"]] = self.hub.large[value["oid"]]
                    assert hashlib.sha256(files[value["path"]]).hexdigest() == value["oid"]
                case "deletedFile":
                    del files[value["path"]]
        return repository.commit(branch, files, message)


def entry(path: str, content: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": git_hash(content)}
    if is_large(path):
        oid = hashlib.sha256(content).hexdigest()
        found["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 130}
    return found


@contextmanager
def serving() -> Iterator[Hub]:
    """A server with nothing in it, on a free port of this machine."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OneHandler", (Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
