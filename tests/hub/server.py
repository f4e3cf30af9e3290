"""A Hub on 127.0.0.1: enough of its protocol for its clients to create, upload, tag, list and download, with faults on demand."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
import time
from base64 import b64decode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from tests.hub.faults import Faults

PIECE = 1 << 16  # bytes of a slow answer at once


class Cut(Exception):
    """The connection ends here."""


class Hub(ThreadingHTTPServer):
    """Repositories in memory: ``repos[id]`` has commits (oid -> files), refs (name -> oid), tags (names among refs) and whether it is
    private, which asks for the token ``hf_test``. ``archives`` are plain files by name, with a strong ETag and ranges.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, dict] = {}
        self.blobs: dict[str, bytes] = {}
        self.archives: dict[str, bytes] = {}
        self.sent: dict[str, int] = {}  # archive -> bytes of its body that were sent
        self.log: list[str] = []
        self.faults = Faults()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *args):
        self.shutdown()
        self.server_close()

    def cut(self, size: int) -> int:
        """After how many bytes an answer of `size` is cut."""
        return self.faults.random.randrange(size) if size else 0

    def commit(self, repo: str, changes: dict[str, bytes], branch: str = "main") -> str:
        """Adds a commit with these files to a branch, as a user of the site would."""
        entry = self.repos.setdefault(repo, {"commits": {}, "refs": {}, "tags": set(), "private": False})
        files = {**entry["commits"].get(entry["refs"].get(branch), {}), **changes}
        oid = hashlib.sha1(f"{repo}{branch}{len(entry['commits'])}".encode() + b"".join(files.values())).hexdigest()
        entry["commits"][oid] = files
        entry["refs"][branch] = oid
        return oid


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub
    fault = ""

    def log_message(self, format, *args):
        self.server.log.append(f"{self.command} {self.path}")

    def faulty(self, answer) -> None:
        """Answers a request, whose body has been read, with the fault that is its turn."""
        self.fault = self.server.faults.take(self.command, unquote(self.path))
        try:
            if self.fault == "cut":
                raise Cut
            if self.fault in ("429", "500"):
                return self.reply(int(self.fault), {"error": "planned"}, {"Retry-After": "1"} if self.fault == "429" else {})
            answer()
        except (Cut, BrokenPipeError, ConnectionResetError):
            self.close_connection = True
            try:
                self.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def reply(self, status: int, body: object = b"", headers: dict | None = None, length: int | None = None) -> None:
        if self.fault == "cut_after":
            raise Cut
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        length = len(data) if length is None else length
        self.send_response(status)
        for name, value in {"Content-Length": str(length), "Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        pieces = [data[start : start + PIECE] for start in range(0, len(data), PIECE)] if self.fault == "slow" else [data]
        for piece in pieces:
            self.wfile.write(piece)
            if self.fault == "slow":
                time.sleep(0.01)
        if length > len(data):
            raise Cut

    def missing(self, what: str) -> None:
        self.reply(404, {"error": what}, {"X-Error-Code": what, "X-Error-Message": what})

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def find(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """Commit and files, or None after an answer of 404."""
        entry = self.server.repos.get(repo)
        if entry is None or (entry["private"] and self.headers.get("Authorization") != "Bearer hf_test"):
            return self.missing("RepoNotFound")
        oid = entry["refs"].get("main" if revision == "HEAD" else revision, revision)
        if oid not in entry["commits"]:
            return self.missing("RevisionNotFound")
        return oid, entry["commits"][oid]

    def do_GET(self):
        self.faulty(self.get)

    do_HEAD = do_GET

    def get(self):
        path = unquote(urlsplit(self.path).path)
        if actual := re.fullmatch(r"/archives/(.+)", path):
            data = self.server.archives.get(actual[1])
            return self.missing("EntryNotFound") if data is None else self.send_archive(actual[1], data)
        if path == "/api/whoami-v2":
            return self.reply(200, {"name": "tester", "type": "user", "orgs": [], "auth": {"accessToken": {"role": "write"}}})
        if actual := re.fullmatch(r"/api/(?:models|spaces)/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            at = self.find(actual[1], actual[2] or "main")
            return self.reply(200, self.information(actual[1], *at)) if at else None
        if actual := re.fullmatch(r"/api/(?:models|spaces)/([^/]+/[^/]+)/refs", path):
            if self.find(actual[1], "main"):
                entry = self.server.repos[actual[1]]
                refs = [(name in entry["tags"], {"name": name, "ref": name, "targetCommit": oid}) for name, oid in entry["refs"].items()]
                kinds = {"branches": False, "tags": True}
                self.reply(200, {**{kind: [ref for is_tag, ref in refs if is_tag is of] for kind, of in kinds.items()}, "converts": []})
            return None
        if actual := re.fullmatch(r"/api/(?:models|spaces)/([^/]+/[^/]+)/tree/([^/]+)(?:/.*)?", path):
            at = self.find(actual[1], actual[2])
            return self.reply(200, [described(name, data) for name, data in at[1].items()]) if at else None
        if actual := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            at = self.find(actual[1], actual[2])
            if at and actual[3] not in at[1]:
                return self.missing("EntryNotFound")
            return self.send_file(actual[1], actual[3], at[0], at[1][actual[3]]) if at else None
        return self.missing("not here")

    def information(self, repo: str, oid: str, files: dict[str, bytes]) -> dict:
        """The site's description of a repository, read in part from its card."""
        card = front(files.get("README.md", b"").decode())
        read = {key: card[key] for key in ("pipeline_tag", "library_name") if key in card}
        about = {"id": repo, "sha": oid, "private": self.server.repos[repo]["private"], "downloads": 0, "likes": 0, "gated": False}
        return {**about, **read, "tags": card.get("tags", []), "cardData": card, "siblings": [{"rfilename": name} for name in files]}

    def send_file(self, repo: str, name: str, oid: str, data: bytes) -> None:
        etag = hashlib.sha256(data if self.fault != "wrong_hash" else data + b"?").hexdigest()
        if self.fault == "stale":  # what a cache on the way kept of an earlier commit, under the new name
            entry = self.server.repos[repo]
            data = next((files[name] for files in entry["commits"].values() if files.get(name, data) != data), data)
        self.send_bytes(data, {"X-Repo-Commit": oid, "ETag": f'"{etag}"'})

    def send_archive(self, name: str, data: bytes) -> None:
        self.server.sent.setdefault(name, 0)
        before = self.wfile
        self.wfile = Counting(before, self.server.sent, name)
        try:
            self.send_bytes(data, {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "Content-Type": "application/gzip"})
        finally:
            self.wfile = before

    def send_bytes(self, data: bytes, headers: dict) -> None:
        headers, status, start = {**headers, "Accept-Ranges": "bytes"}, 200, 0
        requests = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        same = self.headers.get("If-Range", headers["ETag"]) == headers["ETag"]
        if requests and same:
            start, end = int(requests[1]), int(requests[2] or len(data) - 1)
            if start >= len(data):
                return self.reply(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            status, headers["Content-Range"] = 206, f"bytes {start}-{end}/{len(data)}"
            data = data[start : end + 1]
        full = len(data)
        if self.fault == "flip" and data:
            middle = full // 2
            data = data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]
        if self.fault == "cut_body":
            return self.reply(status, data[: self.server.cut(full)], headers, length=full + (full == 0))
        if self.fault == "short":
            data = data[: full // 2]
        return self.reply(status, data, headers, length=len(data) + (7 if self.fault == "long" else 0))

    def do_POST(self):
        data = self.body()
        self.faulty(lambda: self.post(unquote(urlsplit(self.path).path), data))

    def post(self, path: str, data: bytes):
        if path == "/api/repos/create":
            expected = json.loads(data)
            repo = f"{expected.get('organization') or 'tester'}/{expected['name']}"
            if repo in self.server.repos:
                return self.reply(409, {"error": "exists", "url": f"{self.server.url}/{repo}"})
            self.server.commit(repo, {".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"})
            self.server.repos[repo]["private"] = expected.get("private") or expected.get("visibility") == "private"
            return self.reply(200, {"url": f"{self.server.url}/{repo}", "name": repo})
        if path == "/api/validate-yaml":
            return self.validate(json.loads(data)["content"])
        if actual := re.fullmatch(r"/api/(?:models|spaces)/([^/]+/[^/]+)/preupload/(.+)", path):
            at = self.find(actual[1], actual[2])
            if at is None:
                return None
            modes = []
            for name in (file["path"] for file in json.loads(data)["files"]):
                large, there = name.endswith((".safetensors", ".png", ".jpg", ".webp")), at[1].get(name)
                known = {} if there is None else {"oid": hashlib.sha256(there).hexdigest() if large else git_oid(there)}
                modes.append({"path": name, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, **known})
            return self.reply(200, {"files": modes})
        if actual := re.fullmatch(r"/api/(?:models|spaces)/([^/]+/[^/]+)/paths-info/(.+)", path):
            at, expected = self.find(actual[1], actual[2]), parse_qs(data.decode()).get("paths", [])
            return self.reply(200, [described(name, at[1][name]) for name in expected if name in at[1]]) if at else None
        if re.fullmatch(r"/(?:spaces/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            objects = [
                {**expected, "actions": {"upload": {"href": f"{self.server.url}/blob/{expected['oid']}"}}}
                for expected in json.loads(data)["objects"]
            ]
            return self.reply(200, {"transfer": "basic", "objects": objects}, {"Content-Type": "application/vnd.git-lfs+json"})
        if actual := re.fullmatch(r"/api/(?:models|spaces)/([^/]+/[^/]+)/commit/(.+)", path):
            return self.accept_commit(actual[1], actual[2], data)
        if actual := re.fullmatch(r"/api/(?:models|spaces)/([^/]+/[^/]+)/(tag|branch)/(.+)", path):
            entry, expected = self.server.repos[actual[1]], json.loads(data or b"{}")
            name, start = (expected["tag"], actual[3]) if actual[2] == "tag" else (actual[3], expected.get("startingPoint") or "main")
            if name in entry["refs"]:
                return self.reply(409, {"error": "exists"})
            entry["refs"][name] = entry["refs"].get(start, start)
            entry["tags"] |= {name} if actual[2] == "tag" else set()
            return self.reply(200, {})
        return self.missing("not here")

    def validate(self, content: str) -> None:
        """The site's check of a card's front matter: types, and a complete model index."""
        errors = []
        try:
            data = front(content)
            kinds = {"license": str, "library_name": str, "pipeline_tag": str, "tags": list, "datasets": list, "metrics": list}
            errors += [f'"{key}" must be a {kind.__name__}' for key, kind in kinds.items() if not isinstance(data.get(key, kind()), kind)]
            for result in (data.get("model-index") or [{}])[0].get("results", []):
                whole = result["task"]["type"] and result["dataset"]["name"] and result["dataset"]["type"]
                errors += [] if whole and all("value" in item and "type" in item for item in result["metrics"]) else ["model-index"]
        except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
            errors.append(f"metadata: {error!r}")
        self.reply(200 if not errors else 400, {"errors": [{"message": text} for text in errors], "warnings": []})

    def accept_commit(self, repo: str, branch: str, data: bytes) -> None:
        changes = {}
        for line in data.decode().splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                changes[value["path"]] = b64decode(value["content"]) if value.get("encoding") == "base64" else value["content"].encode()
            elif item["key"] == "lfsFile":
                if value["oid"] not in self.server.blobs:
                    return self.reply(400, {"error": f"{value['path']} was not sent"})
                changes[value["path"]] = self.server.blobs[value["oid"]]
        oid = self.server.commit(repo, changes, branch)
        self.reply(200, {"commitOid": oid, "commitUrl": f"{self.server.url}/{repo}/commit/{oid}", "hookOutput": "", "success": True})

    def do_PUT(self):
        data = self.body()
        self.faulty(lambda: self.put(data))

    def put(self, data: bytes):
        query = parse_qs(urlsplit(self.path).query)
        assert not query, query
        oid = urlsplit(self.path).path.removeprefix("/blob/")
        if hashlib.sha256(data).hexdigest() != oid:
            return self.reply(400, {"error": "digest"})
        self.server.blobs[oid] = data
        return self.reply(200)


def git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def front(card: str) -> dict:
    """The front matter of a card, {} of one that has none."""
    parts = card.split("---\n", 2)
    return yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0] else {}


def described(name: str, data: bytes) -> dict:
    """A file in a listing."""
    return {"type": "file", "path": name, "size": len(data), "oid": git_oid(data)}


class Counting:
    """A stream that counts what goes through, headers left out."""

    def __init__(self, stream, sent: dict[str, int], name: str):
        self.stream, self.sent, self.name, self.flush, self.closed = stream, sent, name, stream.flush, False

    def write(self, data: bytes) -> int:
        self.sent[self.name] += 0 if data.startswith(b"HTTP/1.1 ") else len(data)
        return self.stream.write(data)
