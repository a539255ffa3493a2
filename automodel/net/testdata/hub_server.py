#!/usr/bin/env python3
"""A small Hub for tests: models and data sets from a folder, and faults on request. Python's standard library alone.

hub_server.py FOLDER        FOLDER/models/org/name[@branch]/..., FOLDER/datasets/...; FOLDER/repos.json has what is odd
                            about a repository: {"models/org/name": {"gated": true, "private": true, "renamed": "org/new"}}
It prints "HUB_PORT CDN_PORT" and serves until its standard input closes. Files ending in .safetensors, .bin or .parquet
are LFS: /resolve/ leads to the second port, on another host name (huggingface_hub looks at that), with a signed address. Only the token hf_good opens what is gated or private.

/control/fault?JSON         {"path": regex, "kind": ..., "count": n, ...}: the next n requests whose path matches, after "skip"
/control/log                the requests so far: [{"method", "port", "path", "range", "authorization"}]
/control/tls?JSON           {"cert": file, "key": file}: the Hub on a third port, by https; the answer is the port
/control/clear              no faults, an empty log
"""
import hashlib
import json
import re
import socket
import ssl
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PAGE = 4  # files in a page of /tree/
LFS = (".safetensors", ".bin", ".parquet")
root = Path(sys.argv[1])
lock = threading.Lock()
faults, log = [], []
ports = {}


def git_blob(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


known = {}


def digest_of(path):  # by size and time: a test file is read once, not for every request
    status = path.stat()
    key = (path, status.st_size, status.st_mtime_ns)
    if key not in known:
        known[key] = git_blob(path.read_bytes())
    return known[key]


class Repo:
    """One repository at one branch, read anew for each request: tests push by writing files."""

    def __init__(self, kind, name, branch):
        self.folder = root / kind / (name if branch == "main" else f"{name}@{branch}")
        self.files = {}
        for path in sorted(p for p in self.folder.rglob("*") if p.is_file()):
            self.files[path.relative_to(self.folder).as_posix()] = path
        digest = hashlib.sha1(f"{kind}/{name}".encode())
        for name_, path in self.files.items():
            digest.update(name_.encode() + b"\0" + digest_of(path).encode())
        self.commit = digest.hexdigest()


def find_repo(kind, name, revision):
    base = root / kind / name
    if not base.is_dir():
        return None, "RepoNotFound"
    branches = ["main"] + [p.name.split("@")[1] for p in base.parent.glob(base.name + "@*")]
    for branch in branches:
        repo = Repo(kind, name, branch)
        if revision in (branch, repo.commit):
            return repo, None
    return None, "RevisionNotFound"


def take_fault(path):
    with lock:
        for fault in faults:
            if fault["count"] > 0 and re.search(fault["path"], path):
                if fault.get("skip", 0) > 0:
                    fault["skip"] -= 1
                    return {}
                fault["count"] -= 1
                return fault
    return {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status, code, message=""):
        headers = {"X-Error-Message": message} if message else {}
        if code:
            headers["X-Error-Code"] = code
        self.answer(status, b"refused", headers)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self.fault = {}
        if self.path.startswith("/control/"):
            return self.control()
        with lock:
            log.append({"method": self.command, "port": self.server.server_port, "path": self.path,
                        "range": self.headers.get("Range"), "authorization": self.headers.get("Authorization")})
        self.fault = take_fault(self.path)
        kind = self.fault.get("kind")
        if kind == "status":
            return self.answer(self.fault["status"], self.fault.get("body", "fault").encode(), self.fault.get("headers"))
        if kind == "loop":
            return self.answer(302, b"", {"Location": self.path})
        if kind == "redirect":
            return self.answer(302, b"", {"Location": self.fault["to"]})
        if kind == "hang_up":
            return self.hang_up()
        if self.server.server_port == ports["cdn"]:
            return self.cdn()
        return self.hub()

    def control(self):
        path, _, query = self.path.partition("?")
        with lock:
            if path == "/control/fault":
                faults.append(json.loads(urllib.parse.unquote(query)))
            elif path == "/control/tls":
                return self.answer(200, str(start_tls(**json.loads(urllib.parse.unquote(query)))).encode())
            elif path == "/control/clear":
                faults.clear()
                log.clear()
            body = json.dumps(log).encode()
        self.answer(200, body)

    def hang_up(self):
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def allowed(self, kind, name):
        odd = json.loads((root / "repos.json").read_text()).get(f"{kind}/{name}", {})
        given = self.headers.get("Authorization")
        if given and given != "Bearer hf_good":
            return self.refuse(401, None, "Invalid credentials in Authorization header")
        if "renamed" in odd:
            return self.answer(307, b"", {"Location": self.path.replace(name, odd["renamed"], 1)})
        if odd.get("private") and not given:
            return self.refuse(401, "RepoNotFound", "Repository not found")
        if odd.get("gated") and not given:
            return self.refuse(401, "GatedRepo", f"Access to model {name} is restricted")
        return True

    def hub(self):
        path = urllib.parse.urlsplit(self.path)
        api = re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)/(revision|tree)/([^/]+)", path.path)
        if api:
            kind, name, what, revision = api.groups()
            return self.api(kind, name, what, urllib.parse.unquote(revision), urllib.parse.parse_qs(path.query))
        file = re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path.path)
        if file:
            kind = "datasets" if file[1] else "models"
            return self.resolve(kind, file[2], urllib.parse.unquote(file[3]), urllib.parse.unquote(file[4]))
        return self.refuse(404, None)

    def api(self, kind, name, what, revision, query):
        if self.allowed(kind, name) is not True:
            return
        repo, missing = find_repo(kind, name, revision)
        if missing:
            return self.refuse(404, missing)
        if what == "revision":
            body = {"id": name, "sha": repo.commit, "siblings": [{"rfilename": f} for f in repo.files], "private": False}
            return self.answer(200, json.dumps(body).encode(), {"Content-Type": "application/json"})
        entries = []
        for file, path in repo.files.items():
            data = path.read_bytes()
            entry = {"type": "file", "oid": git_blob(data), "size": len(data), "path": file}
            if file.endswith(LFS):
                sha = hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"oid": sha, "size": len(data), "pointerSize": 134}
                entry["oid"] = git_blob(b"pointer to " + sha.encode())
            entries.append(entry)
        for folder in sorted({f.rsplit("/", 1)[0] for f in repo.files if "/" in f}):
            entries.append({"type": "directory", "oid": "0" * 40, "size": 0, "path": folder})
        at = int(query.get("cursor", ["0"])[0])
        headers = {"Content-Type": "application/json"}
        if at + PAGE < len(entries):
            headers["Link"] = (f'<http://127.0.0.1:{ports["hub"]}/api/{kind}/{name}/tree/{revision}'
                               f'?recursive=true&cursor={at + PAGE}>; rel="next"')
        self.answer(200, json.dumps(entries[at:at + PAGE]).encode(), headers)

    def resolve(self, kind, name, revision, file):
        if self.allowed(kind, name) is not True:
            return
        repo, missing = find_repo(kind, name, revision)
        if missing:
            return self.refuse(404, missing)
        headers = {"X-Repo-Commit": repo.commit}
        if file not in repo.files:
            return self.answer(404, b"Entry not found", headers | {"X-Error-Code": "EntryNotFound"})
        data = repo.files[file].read_bytes()
        if file.endswith(LFS):
            sha = hashlib.sha256(data).hexdigest()
            headers |= {"X-Linked-Etag": f'"{sha}"', "X-Linked-Size": str(len(data)), "ETag": f'"{git_blob(data)}"'}
            target = repo.files[file].relative_to(root).as_posix()
            headers["Location"] = f'http://localhost:{ports["cdn"]}/blob/{target}?Signature=very-secret'
            return self.answer(302, b"", headers)
        self.send_data(data, headers | {"ETag": f'"{git_blob(data)}"'})

    def cdn(self):
        if self.headers.get("Authorization"):  # as S3 does: two kinds of credentials
            return self.answer(400, b"only one authorization please")
        path = urllib.parse.urlsplit(self.path)
        if "Signature=very-secret" not in path.query:
            return self.answer(403, b"not signed")
        self.send_data((root / urllib.parse.unquote(path.path[len("/blob/"):])).read_bytes(), {})

    def send_data(self, data, headers):
        kind = self.fault.get("kind")
        total = len(data) + (self.fault["more"] if kind == "wrong_length" else 0)
        if kind == "wrong_bytes":
            data = bytes(b ^ 1 for b in data)
        begin, end, status = 0, len(data), 200
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked and kind != "no_ranges":
            begin, end = int(asked[1]), min(int(asked[2] or len(data) - 1) + 1, len(data))
            if begin >= len(data):
                return self.answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            status = 206
            headers = headers | {"Content-Range": f"bytes {begin}-{end - 1}/{total}"}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if kind == "packed":
            self.send_header("Content-Encoding", "gzip")
        if kind == "endless":
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(total if status == 200 else end - begin))
        self.end_headers()
        if self.command == "HEAD":
            return
        body = data[begin:end]
        try:
            self.send_body(kind, body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def send_body(self, kind, body):
        if kind == "cut" or kind == "no_ranges" and "at" in self.fault:
            self.wfile.write(body[:self.fault["at"]])
            return self.hang_up()
        if kind == "stall":
            self.wfile.write(body[:self.fault["at"]])
            self.wfile.flush()
            time.sleep(self.fault["seconds"])
            return self.hang_up()
        if kind == "slow":
            step = max(1, len(body) // 20)
            for at in range(0, len(body), step):
                self.wfile.write(body[at:at + step])
                self.wfile.flush()
                time.sleep(self.fault["seconds"] / 20)
            return None
        self.wfile.write(body)
        if kind == "endless":
            self.wfile.write(b"x" * 1000)
            return self.hang_up()
        return None


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        pass  # clients that hang up are part of the tests


def start_tls(cert, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


servers = {name: Server(("127.0.0.1", 0), Handler) for name in ("hub", "cdn")}
for name, server in servers.items():
    ports[name] = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
print(ports["hub"], ports["cdn"], flush=True)
sys.stdin.read()
