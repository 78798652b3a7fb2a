"""The pages in a real browser without JavaScript: a rollout to its halt, and what guards them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from edge_agent.bundle.archive import describe_files, pack
from edge_agent.bundle.manifest import encode_manifest
from fleet.control import releases, tenants
from tests.fixtures.browser import PATIENCE_MS, chromium, complaints
from tests.fixtures.bundles import bundle_parts
from tests.fixtures.fleet_server import links
from tests.fixtures.small_fleet import CANARY

NASTY = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def token(server) -> str:
    with server.database.write() as connection:
        return tenants.add_operator(connection, server.clock(), "test", "anna", "operator")


@pytest.fixture
def page(browser, server, token) -> Iterator[Page]:
    """A page on which anna has logged in; fails the test if the browser had anything to complain of."""
    context = browser.new_context(base_url=server.address, java_script_enabled=False)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    said = complaints(page)
    page.goto("/")
    page.get_by_label("Your token").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("Nobody has this token")
    page.get_by_label("Your token").fill(token)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Rollouts")).to_be_visible()
    yield page
    context.close()
    assert [text for text in said if not re.search("40[01]", text)] == []


def test_a_rollout_from_its_making_to_its_halt(page, server):
    server.add_devices(12, **{"note": NASTY})
    server.release("1.0.0")
    server.release("1.1.0")
    page.get_by_role("link", name="New rollout").click()
    page.locator("select[name=release]").select_option("model==1.1.0")
    page.get_by_label("Canary, percent").fill("nonsense")
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_role("alert")).to_contain_text("give numbers")
    page.get_by_label("Canary, percent").fill("100")
    page.get_by_label(re.compile("Waves")).fill(" ")
    page.get_by_role("button", name="Make it").click()
    expect(page.locator("h1 .badge")).to_have_text("ready")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("h1 .badge")).to_have_text("running")
    server.pass_time()
    for number in range(2):
        client = server.device(f"device-{number}")
        base = links(client.get(""))["deploymentBase"].partition("?")[0]
        server.pass_time(60)
        status = {"execution": "closed", "result": {"finished": "failure"}, "details": [NASTY]}
        client.post(f"{base}/feedback", json={"status": status})
    page.reload()
    expect(page.locator("h1 .badge")).to_have_text("halted")
    expect(page.get_by_role("status")).to_contain_text("canary: 2 of 2 devices failed")
    page.get_by_text("Bring touched devices").click()
    expect(page.get_by_role("img", name=re.compile("2 devices touched"))).to_be_visible()
    page.get_by_label("Version").select_option("model==1.0.0")
    page.get_by_label("Devices of").select_option("canary")
    page.get_by_role("button", name="Roll back").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("back to model 1.0.0")
    page.get_by_role("link", name="Devices").click()
    page.get_by_label("Part of the id").fill("ice-0")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="device-0").click()
    expect(page.locator("main")).to_contain_text(NASTY)
    page.get_by_role("link", name="Audit log").click()
    expect(page.locator("main")).to_contain_text("anna")
    expect(page.locator("main")).to_contain_text("rollout halted")


def test_devices_are_found_by_what_they_say_of_themselves(page, server):
    server.add_devices(60, "pi", hardware="pi-4", region="eu-west")
    server.add_devices(3, "cam", hardware="cam", region="eu-north")
    page.goto("/devices")
    page.get_by_label("Only devices with").fill("region=eu-* hardware=pi-*")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody tr")).to_have_count(50)
    page.get_by_role("link", name="Further devices").click()
    expect(page.locator("tbody tr")).to_have_count(10)
    page.get_by_label("Only devices with").fill("hardware")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("alert")).to_contain_text("NAME=PATTERN")


def test_a_release_shows_its_card_and_where_it_came_from(page, server, tmp_path):
    bundle = tmp_path / "model.bundle"
    card = f"# Model card: model\n\n{NASTY}\n\n| word | recall |\n|---|---|\n| yes | 0.93 |\n"
    manifest, files = bundle_parts()
    files = {**files, "model_card.md": card.encode()}
    manifest = dataclasses.replace(manifest, files=describe_files(files), minimum={})
    bundle.write_bytes(pack(encode_manifest(manifest), files))
    with server.database.write() as connection:
        published = releases.publish_bundle(server.root, "default", bundle, None)
        given = (connection, server.clock(), server.tenant, "test", server.root, published)
        row = releases.register_bundle(*given)
    server.add_devices(12)
    server.start(row)
    page.goto("/releases")
    page.get_by_role("link", name=f"{row.name} {row.version}").click()
    expect(page.get_by_role("heading", name="Model card: model")).to_be_visible()
    expect(page.get_by_role("cell", name="0.93")).to_be_visible()
    expect(page.locator(".card")).to_contain_text(NASTY)
    expect(page.locator("dl")).to_contain_text(manifest.lineage)
    expect(page.locator("dl")).to_contain_text(manifest.licence)
    expect(page.locator(".badge.running")).to_be_visible()
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_no_page_is_wider_than_a_phone(page, server):
    server.add_devices(2, **{"long": "x" * 300})
    server.start(server.release("1.0.0"), dataclasses.replace(CANARY, percent=100))
    page.set_viewport_size({"width": 360, "height": 740})
    page.emulate_media(color_scheme="dark")
    paths = ("/", "/rollouts/1", "/rollouts/new", "/devices", "/devices/device-0", "/releases")
    for path in (*paths, "/audit"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_what_guards_the_pages(server, token):
    with server.database.write() as connection:
        viewer = tenants.add_operator(connection, server.clock(), "test", "bert", "viewer")
        other, _ = tenants.add(connection, 1.0, "test", "other")
        only = tenants.add_operator(connection, 1.0, "test", "cleo", "signer", other)
    server.pass_time()

    def client(cookie: str) -> httpx.Client:
        return httpx.Client(base_url=server.address, cookies={"fleet_operator": cookie}, timeout=60)

    assert client("forged").get("/").headers["location"] == "/login"
    assert (
        client(token).get("/").headers["content-security-policy"].startswith("default-src 'none'")
    )
    assert client(token).get("/?tenant=nobody").status_code == 404
    assert client(only).get("/").status_code == 200
    assert client(only).get("/?tenant=default").status_code == 404
    form = {"release": "model==1.0.0"}
    assert client(viewer).post("/rollouts/new", data=form).status_code == 403
    away = {"Origin": "https://elsewhere.example"}
    assert client(token).post("/rollouts/new", data=form, headers=away).status_code == 403
    assert client(token).post("/rollouts/new", data=form).status_code == 404
    assert client(token).get("/rollouts/7").status_code == 404
    assert client(token).post("/rollouts/new", content=b"x" * 70_000).status_code == 413
    answer = httpx.post(f"{server.address}/login", data={"token": token}, timeout=60)
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=strict" in answer.headers["set-cookie"]
    assert client(token).get("/api/v1/default/devices").status_code == 401
