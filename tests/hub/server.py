"""A Hub on 127.0.0.1: enough of its protocol for huggingface_hub to create, upload, tag, list and download."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from base64 import b64decode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


class Hub(ThreadingHTTPServer):
    """Repositories in memory: ``repos[id]`` has commits (oid -> files), refs (name -> oid) and whether it is private."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, dict] = {}
        self.blobs: dict[str, bytes] = {}
        self.log: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *args):
        self.shutdown()
        self.server_close()

    def commit(self, repo: str, changes: dict[str, bytes], branch: str = "main") -> str:
        """Adds a commit with these files to a branch, as a user of the site would."""
        entry = self.repos.setdefault(repo, {"commits": {}, "refs": {}, "private": False})
        files = {**entry["commits"].get(entry["refs"].get(branch), {}), **changes}
        oid = hashlib.sha1(f"{repo}{branch}{len(entry['commits'])}".encode() + b"".join(files.values())).hexdigest()
        entry["commits"][oid] = files
        entry["refs"][branch] = oid
        return oid


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, format, *args):
        self.server.log.append(f"{self.command} {self.path}")

    def reply(self, status: int, body: object = b"", headers: dict | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), "Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

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
        if entry is None:
            return self.missing("RepoNotFound")
        oid = entry["refs"].get(revision, revision)
        if oid not in entry["commits"]:
            return self.missing("RevisionNotFound")
        return oid, entry["commits"][oid]

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        if path == "/api/whoami-v2":
            return self.reply(200, {"name": "tester", "type": "user", "orgs": [], "auth": {"accessToken": {"role": "write"}}})
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            at = self.find(found[1], found[2] or "main")
            if at:
                siblings = [{"rfilename": name} for name in at[1]]
                self.reply(200, {"id": found[1], "sha": at[0], "siblings": siblings, "private": False, "tags": [], "downloads": 0})
            return None
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)(?:/.*)?", path):
            at = self.find(found[1], found[2])
            if at:
                oid = {name: hashlib.sha1(data).hexdigest() for name, data in at[1].items()}
                self.reply(200, [{"type": "file", "path": name, "size": len(data), "oid": oid[name]} for name, data in at[1].items()])
            return None
        if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            at = self.find(found[1], found[2])
            if at and found[3] not in at[1]:
                return self.missing("EntryNotFound")
            return self.send_file(at[0], at[1][found[3]]) if at else None
        return self.missing("not here")

    do_HEAD = do_GET

    def send_file(self, oid: str, data: bytes) -> None:
        headers = {"X-Repo-Commit": oid, "ETag": f'"{hashlib.sha256(data).hexdigest()}"', "Accept-Ranges": "bytes"}
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if found:
            start, end = int(found[1]), int(found[2] or len(data) - 1)
            return self.reply(206, data[start : end + 1], {**headers, "Content-Range": f"bytes {start}-{end}/{len(data)}"})
        return self.reply(200, data, headers)

    def do_POST(self):
        path, data = unquote(urlsplit(self.path).path), self.body()
        if path == "/api/repos/create":
            wanted = json.loads(data)
            repo = f"{wanted.get('organization') or 'tester'}/{wanted['name']}"
            if repo in self.server.repos:
                return self.reply(409, {"error": "exists", "url": f"{self.server.url}/{repo}"})
            self.server.commit(repo, {".gitattributes": b""})
            self.server.repos[repo]["private"] = wanted.get("private") or wanted.get("visibility") == "private"
            return self.reply(200, {"url": f"{self.server.url}/{repo}", "name": repo})
        if path == "/api/validate-yaml":
            return self.reply(200, {"errors": [], "warnings": []})
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/(.+)", path):
            large = {"safetensors", "png"}
            files = json.loads(data)["files"]
            modes = [{"path": f["path"], "uploadMode": "lfs" if f["path"].split(".")[-1] in large else "regular"} for f in files]
            return self.reply(200, {"files": [{**mode, "shouldIgnore": False} for mode in modes]})
        if re.fullmatch(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            objects = [
                {**wanted, "actions": {"upload": {"href": f"{self.server.url}/blob/{wanted['oid']}"}}}
                for wanted in json.loads(data)["objects"]
            ]
            return self.reply(200, {"transfer": "basic", "objects": objects}, {"Content-Type": "application/vnd.git-lfs+json"})
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/(.+)", path):
            return self.accept_commit(found[1], found[2], data)
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/(tag|branch)/(.+)", path):
            entry, wanted = self.server.repos[found[1]], json.loads(data or b"{}")
            name, start = (wanted["tag"], found[3]) if found[2] == "tag" else (found[3], wanted.get("startingPoint") or "main")
            if name in entry["refs"]:
                return self.reply(409, {"error": "exists"})
            entry["refs"][name] = entry["refs"].get(start, start)
            return self.reply(200, {})
        return self.missing("not here")

    def accept_commit(self, repo: str, branch: str, data: bytes) -> None:
        changes = {}
        for line in data.decode().splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                changes[value["path"]] = b64decode(value["content"]) if value.get("encoding") == "base64" else value["content"].encode()
            elif item["key"] == "lfsFile":
                changes[value["path"]] = self.server.blobs[value["oid"]]
        oid = self.server.commit(repo, changes, branch)
        self.reply(200, {"commitOid": oid, "commitUrl": f"{self.server.url}/{repo}/commit/{oid}", "hookOutput": "", "success": True})

    def do_PUT(self):
        query = parse_qs(urlsplit(self.path).query)
        assert not query, query
        data = self.body()
        oid = urlsplit(self.path).path.removeprefix("/blob/")
        if hashlib.sha256(data).hexdigest() != oid:
            return self.reply(400, {"error": "digest"})
        self.server.blobs[oid] = data
        return self.reply(200)
