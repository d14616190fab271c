"""``python -m deepseek_async ui``, in this process and in another one."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from deepseek_async import ui
from deepseek_async.cli.app import run

from .serving import GUARD_SECONDS


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("DEEPSEEK_") and name != "DEEPSEEK_SCREENSHOTS":
            monkeypatch.delenv(name)


def _heed_ctrl_c() -> None:
    # Background jobs of a shell ignore it, and so do their children; CI may be such a job.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], list[str]]]:
    """Start the command; kill it if the test fails before it ends.

    Yields:
        The process, and the lines that it begins with.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "deepseek_async", "ui", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=_heed_ctrl_c,
    ) as running:
        try:
            assert running.stdout is not None
            lines = [running.stdout.readline().decode().strip()]
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]+", lines[0])
            lines += [running.stdout.readline().decode() for _ in range(1 if arguments else 2)]
            yield running, lines
        finally:
            running.kill()


def test_it_serves_the_page_until_ctrl_c() -> None:
    with started() as (running, lines):
        assert "simulator" in lines[1]
        assert "No DEEPSEEK_API_KEY found" in lines[2]
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        with browser.open(lines[0], timeout=GUARD_SECONDS) as response:
            assert b"<title>deepseek_async</title>" in response.read()
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=GUARD_SECONDS)
    assert running.returncode == 0
    assert (out, err) == (b"", b"")


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_while_the_browser_that_it_opened_does_not(
    ending: signal.Signals, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    browser = tmp_path / "browser"
    # It replaces itself, and has the outputs of nobody, so that the test can end.
    browser.write_text('#!/bin/sh\ntouch "$0.opened"\nexec sleep 20 >/dev/null 2>&1\n')
    browser.chmod(0o700)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    with started("--simulate", "--open") as (running, _):
        while not browser.with_suffix(".opened").exists():
            time.sleep(0.02)
        running.send_signal(ending)
        assert running.wait(timeout=10) == 0


def test_sigterm_ends_it_too() -> None:
    with started("--simulate") as (running, _):
        running.send_signal(signal.SIGTERM)
        out, err = running.communicate(timeout=GUARD_SECONDS)
    assert running.returncode == 0
    assert (out, err) == (b"", b"")


def test_a_taken_port_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["ui", "--port", str(port)]) == 1
    assert capsys.readouterr().err == (
        f"error: port {port} on 127.0.0.1 is in use: choose another one with --port, or 0 for any\n"
    )


def test_a_host_that_is_not_ours_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ui", "--host", "203.0.113.1"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: can't listen on 203.0.113.1 port 8765: ")
    assert err.count("\n") == 1


def test_options_that_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ui", "--simulate", "--base-url", "http://127.0.0.1:1"]) == 2
    assert "exclude each other" in capsys.readouterr().err


def test_help_needs_no_web_server() -> None:
    program = (
        "import sys; from deepseek_async.cli.app import run; run(['ui', '--help']);"
        "sys.exit('aiohttp.web' in sys.modules or 'deepseek_async.ui.server' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0
    assert b"--open" in done.stdout


def test_the_files_of_the_page_are_part_of_the_package() -> None:
    folder = Path(ui.__file__).parent / "static"
    names = {path.name for path in folder.iterdir()}
    assert {"index.html", "style.css", "main.js", "icon.svg", "theme.js"} <= names
    page = (folder / "index.html").read_text()
    for name in re.findall(r"/static/([\w.]+)", page):
        assert name in names
    for path in folder.glob("*.js"):
        text = path.read_text()
        for name in re.findall(r'from "\./([\w.]+)"', text):
            assert name in names
        # What would make markup of text.
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)


def test_the_address_that_a_browser_is_started_with_is_no_secret_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {told}.part; mv {told}.part {told}\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    with started("--open") as (_, lines):
        deadline = time.monotonic() + GUARD_SECONDS
        while not told.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        url = told.read_text().strip()
        base, _, token = lines[0].partition("?token=")
        assert token not in url
        assert url.startswith(f"{base}?pass=")
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        with opener.open(url) as response:
            assert b"<!doctype html>" in response.read().lower()
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(url)
