"""A web server that renders pages, and keeps what it has rendered.

pages.py PORT [MOST]    at most so many, by lru_cache; else in a dictionary, for ever
"""

import functools
import http.server
import random
import sys

cache = {}
rendered_bytes = rendered = 0


def render(number):
    global rendered, rendered_bytes
    words = [f"word {random.random()}" for _ in range(random.randint(5, 60))]
    rendered += 1
    rendered_bytes += sys.getsizeof(words) + sum(map(sys.getsizeof, words))
    return words


def cached(number):
    if number not in cache:
        cache[number] = render(number)
    return cache[number]


def count():
    return page.cache_info().currsize if bounded else len(cache)


class Pages(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        if self.path == "/bytes":
            text = str(rendered_bytes * count() // max(rendered, 1))
        elif self.path == "/count":
            text = str(count())
        else:
            text = " ".join(page(int(self.path.rpartition("/")[2])))
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


bounded = len(sys.argv) > 2
page = functools.lru_cache(int(sys.argv[2]))(render) if bounded else cached
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Pages).serve_forever()
