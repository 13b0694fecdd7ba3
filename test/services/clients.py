"""The real OpenStack clients, imported once, since that takes two seconds: one request and one answer per line.

{"env": {...}, "argv": [...]}  runs the `openstack` program's own entry point -> {"code", "out", "err"}
{"env": {...}, "code": "..."}  runs Python, which assigns its answer to `result` -> {"result"} or {"error", "message"}

Each request has a process of its own, forked from this one: clients cache what they learn about a cloud in globals.
"""

import contextlib
import io
import json
import os
import sys
import traceback

import openstack  # noqa: F401: imported here so that no request has to
from openstackclient import shell
from troveclient.v1 import client as trove_client  # noqa: F401


def run_command(argv):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = shell.main(argv)
        except SystemExit as end:  # argparse's way to refuse arguments
            code = end.code
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


def run_code(code):
    names = {}
    try:
        with contextlib.redirect_stdout(sys.stderr):
            exec(compile(code, "<test>", "exec"), names)
    except Exception as error:
        traceback.print_exc()
        return {"error": type(error).__name__, "message": str(error)}
    return {"result": names.get("result")}


def answer(request):
    for name in [name for name in os.environ if name.startswith("OS_")]:
        del os.environ[name]
    os.environ.update(request["env"])
    result = run_command(request["argv"]) if "argv" in request else run_code(request["code"])
    print(json.dumps(result), flush=True)


def main():
    # Not `for line in sys.stdin`: that reads ahead, and a forked process would read it again.
    while line := sys.stdin.readline():
        child = os.fork()
        if child == 0:
            status = 1
            try:
                answer(json.loads(line))
                status = 0
            finally:
                sys.stdout.flush()
                os._exit(status)
        if os.waitpid(child, 0)[1] != 0:
            print(json.dumps({"error": "Died", "message": "the client's process ended without an answer"}), flush=True)


main()
