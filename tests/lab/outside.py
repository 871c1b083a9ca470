#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The world outside of an emulated handset, as a persona's programs meet it: takes
the ledger's word for its transactions, and is a web server with an endless page.
Knows nothing of handsets and moves.

    outside.py DIRECTORY LEDGER_PORT HTTP_PORT

DIRECTORY/acks has a line "N" for each transaction acknowledged, written before the
answer; DIRECTORY/web a line for each request: when, the client's port, from which
number on. GET /programs.tar is that file of DIRECTORY; GET /ticks?from=N sends a line "tick K TIME" each second from K = N on,
until the client goes; GET /time says this side's clock.
"""
import http.server
import os
import socketserver
import sys
import threading
import time
import urllib.parse

TICK_S = 1


class Acks(socketserver.StreamRequestHandler):
    timeout = 600

    def handle(self):
        for line in self.rfile:
            words = line.split()
            if len(words) != 2 or words[0] != b"ack":
                return
            with self.server.lock:
                self.server.acks.write(words[1].decode() + "\n")
                self.server.acks.flush()
            self.wfile.write(b"ok " + words[1] + b"\n")


class Web(http.server.BaseHTTPRequestHandler):
    timeout = 600

    def log_message(self, *_):
        pass

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/time":
            self.page(b"%.3f\n" % time.time())
        elif url.path == "/programs.tar":
            with open(os.path.join(self.server.directory, "programs.tar"),
                      "rb") as programs:
                self.page(programs.read())
        elif url.path == "/ticks":
            first = int(urllib.parse.parse_qs(url.query)["from"][0])
            with self.server.lock:
                self.server.web.write("%.3f %d %d\n" % (
                    time.time(), self.client_address[1], first))
                self.server.web.flush()
            self.ticks(first)
        else:
            self.send_error(404)

    def page(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def ticks(self, k):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"tick %d %.3f\n" % (k, time.time()))
                k += 1
                time.sleep(TICK_S)
        except OSError:
            pass


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main():
    directory, ledger_port, http_port = sys.argv[1:]
    acks = Server(("127.0.0.1", int(ledger_port)), Acks)
    acks.acks = open(os.path.join(directory, "acks"), "w")
    web = Server(("127.0.0.1", int(http_port)), Web)
    web.directory = directory
    web.web = open(os.path.join(directory, "web"), "w")
    for server in acks, web:
        server.lock = threading.Lock()
    threading.Thread(target=acks.serve_forever, daemon=True).start()
    print("ready", flush=True)
    web.serve_forever()


main()
