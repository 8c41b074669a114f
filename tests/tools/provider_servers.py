"""Servers that nobody here wrote, for tests/provider-check: aiosmtpd, and Standard Webhooks' own verifiers for
Python and, for events, JavaScript.

Writes what they took, a JSON line each, to the folder given first; prints their ports once they listen. The second folder has the modules of
Node.
"""

import json
import pathlib
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.controller import Controller
from standardwebhooks import Webhook

folder = pathlib.Path(sys.argv[1])
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def note(name, value):
    with (folder / name).open("a") as file:
        file.write(json.dumps(value) + "\n")


class Mailbox:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("full"):
            return "452 4.2.2 the mailbox is full"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        note("mails", {"from": envelope.mail_from, "to": envelope.rcpt_tos, "data": envelope.content.decode()})
        return "250 OK"


def ask_node(body, headers):
    """What the library for JavaScript makes of it."""
    asked = json.dumps({"secret": SECRET, "body": body.decode(), "headers": {k.lower(): v for k, v in headers.items()}})
    command = ["node", str(pathlib.Path(__file__).parent / "verify_webhook.mjs"), sys.argv[2]]
    subprocess.run(command, input=asked, text=True, check=True, capture_output=True, timeout=8)


class Hook(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            Webhook(SECRET).verify(body, dict(self.headers))
            if self.path == "/events":
                ask_node(body, self.headers)
            status = 204
        except Exception as error:  # noqa: BLE001 - whatever the library says is the verdict
            note("hooks", {"error": repr(error)})
            status = 401
        if status == 204:
            note("events" if self.path == "/events" else "hooks", json.loads(body))
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


smtp = Controller(Mailbox(), hostname="127.0.0.1", port=free_port())
smtp.start()
hooks = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
threading.Thread(target=hooks.serve_forever, daemon=True).start()
hanging = socket.socket()  # it takes connections and never says a word
hanging.bind(("127.0.0.1", 0))
hanging.listen(64)
print(smtp.port, hooks.server_address[1], hanging.getsockname()[1], flush=True)
threading.Event().wait()
