"""Several flows at once."""

from __future__ import annotations

import io
import json
import secrets
import struct
import tracemalloc
import uuid
import zipfile
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from flowray.errors import RequestTooLargeError
from flowray_serve.bundle import BundleError, read_bundle, zipped
from tests.unit.serve.service import ECHO, OTHER_KEY, canvas, drawn, service

SECRET = {"type": "str", "password": True, "value": "sk-secret", "load_from_db": False}
BOUND = {"type": "str", "password": True, "value": "OPENAI_API_KEY", "load_from_db": True}


def zip_of(**files: Any) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.json", content if isinstance(content, str) else json.dumps(content))
    return packed.getvalue()


async def test_a_batch_creates_all_its_flows() -> None:
    made = service()
    response = await made.http.post("/api/v1/flows/batch/", json={"flows": [ECHO, {**ECHO, "name": "Other"}]})
    assert response.status_code == 201
    assert [flow["name"] for flow in response.json()] == ["Echo", "Other"]


async def test_flows_of_a_batch_that_share_names_and_ids_each_get_their_own() -> None:
    made = service()
    same = {**ECHO, "id": str(uuid.uuid4()), "endpoint_name": "echo"}
    flows = (await made.http.post("/api/v1/flows/batch/", json={"flows": [same, same, same]})).json()
    assert [flow["name"] for flow in flows] == ["Echo", "Echo (1)", "Echo (2)"]
    assert [flow["endpoint_name"] for flow in flows] == ["echo", "echo-1", "echo-2"]
    assert len({flow["id"] for flow in flows}) == 3


async def test_a_flow_whose_name_somebody_takes_meanwhile_gets_a_number_and_keeps_its_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, wanted = service(), str(uuid.uuid4())
    await made.publish(ECHO)
    seen = [(), await made.flows.list("default")]

    async def late(_: str) -> Any:
        return seen.pop(0)

    monkeypatch.setattr(made.services.store, "list", late)
    body = {**ECHO, "id": wanted}
    created = (await made.http.post("/api/v1/flows/", json=body)).json()
    assert (created["name"], created["id"]) == ("Echo (1)", wanted)


async def test_the_flows_that_are_there_are_listed_once_for_a_whole_batch() -> None:
    made = service()
    await made.http.post("/api/v1/flows/batch/", json={"flows": [ECHO]})
    of_one, made.flows.lists = made.flows.lists, 0
    await made.http.post("/api/v1/flows/batch/", json={"flows": [ECHO] * 10})
    assert made.flows.lists == of_one


async def test_a_batch_with_an_id_in_use_creates_nothing() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    response = await made.http.post("/api/v1/flows/batch/", json={"flows": [ECHO, {**ECHO, "id": flow_id}]})
    assert response.status_code == 422
    assert flow_id in response.json()["detail"]
    assert len((await made.http.get("/api/v1/flows/")).json()) == 1


async def test_an_upload_replaces_the_flow_whose_id_it_has() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    file = {"file": ("echo.json", json.dumps({**ECHO, "id": flow_id, "description": "New"}))}
    (flow,) = (await made.http.post("/api/v1/flows/upload/", files=file)).json()
    assert (flow["id"], flow["description"]) == (flow_id, "New")


@pytest.mark.parametrize(("method", "path"), [("POST", "/api/v1/flows/"), ("PUT", "/api/v1/flows/{}"), ("PATCH", "")])
async def test_source_that_is_sent_as_lines_is_kept_as_text(method: str, path: str) -> None:
    made, lines = service(), ["class ChatInput:", "    pass"]
    flow = {"name": "Lines", "data": canvas(drawn("ChatInput-1", code=lines))["data"]}
    path = path.format(uuid.uuid4()) or f"/api/v1/flows/{await made.publish(ECHO)}"

    kept = (await made.http.request(method, path, json=flow)).json()

    assert kept["data"]["nodes"][0]["data"]["node"]["template"]["code"]["value"] == "\n".join(lines)


async def test_what_is_downloaded_can_be_uploaded_and_is_the_same_flow() -> None:
    made = service()
    ids = [await made.publish(ECHO), await made.publish({**ECHO, "name": "Other"})]
    packed = (await made.http.post("/api/v1/flows/download/", json=ids)).content
    uploaded = await service().http.post("/api/v1/flows/upload/", files={"file": ("flows.zip", packed)})
    assert {flow["id"]: flow["data"] for flow in uploaded.json()} == dict.fromkeys(ids, ECHO["data"])


async def documents(*names: str) -> AsyncGenerator[dict[str, Any], None]:
    for name in names:
        yield {"name": name}


async def test_a_download_that_is_too_large_is_refused_before_all_of_it_is_read() -> None:
    read = 0

    async def endless() -> AsyncGenerator[dict[str, Any], None]:
        nonlocal read
        while read < 1_000:
            read += 1
            yield {"name": "x", "data": secrets.token_hex(1_000)}

    with pytest.raises(RequestTooLargeError, match="ask for fewer"):
        await zipped(endless(), limit_bytes=20_000)
    assert read < 50


async def test_an_upload_over_a_flow_puts_it_into_no_project_that_is_not_there() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    elsewhere = {**ECHO, "id": flow_id, "folder_id": str(uuid.uuid4())}

    sent = await made.http.post("/api/v1/flows/upload/", files={"file": ("flow.json", json.dumps(elsewhere))})

    (flow,) = sent.json()
    assert flow["folder_id"] == (await made.http.get("/api/v1/projects/")).json()[0]["id"]


@pytest.mark.parametrize("names", [("x_2", "x", "x"), ("x (1)", "x", "x")])
async def test_each_flow_of_a_download_is_a_file_of_its_own(names: tuple[str, ...]) -> None:
    packed = await zipped(documents(*names), limit_bytes=1_000_000)

    assert len(set(zipfile.ZipFile(io.BytesIO(packed)).namelist())) == len(names)


async def test_a_download_names_a_secrets_variable_and_never_its_value() -> None:
    made = service()
    flow_id = await made.publish(canvas(drawn("Own-1", api_key=SECRET, other_key=BOUND)))
    downloaded = await made.http.post("/api/v1/flows/download/", json=[flow_id])
    assert "sk-secret" not in downloaded.text
    fields = downloaded.json()["data"]["nodes"][0]["data"]["node"]["template"]
    assert (fields["api_key"]["value"], fields["other_key"]["value"]) == (None, "OPENAI_API_KEY")
    assert fields["code"]["value"] == ["class Own: ..."]


async def test_a_list_of_ids_deletes_those_that_are_there() -> None:
    made = service()
    ids = [await made.publish(ECHO), str(uuid.uuid4())]
    assert (await made.http.request("DELETE", "/api/v1/flows/", json=ids)).json() == {"deleted": 1}
    assert (await made.http.get("/api/v1/flows/")).json() == []


async def test_another_tenant_can_neither_download_nor_delete_them() -> None:
    made = service()
    flow_id, key = await made.publish(ECHO), {"x-api-key": OTHER_KEY}
    assert (await made.http.post("/api/v1/flows/download/", json=[flow_id], headers=key)).status_code == 404
    deleted = await made.http.request("DELETE", "/api/v1/flows/", json=[flow_id], headers=key)
    assert deleted.json() == {"deleted": 0}


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        (b"", 400, "empty"),
        (b"{", 400, "JSON"),
        (b"[1]", 422, "flow"),
        (b'{"flows": 1}', 422, "flows"),
        (b'{"flows": [1]}', 422, "flows.0"),
        (b"PK\x03\x04 no zip", 400, "zip"),
        (zip_of(), 400, "zip"),
        (zip_of(bad="{"), 400, "JSON"),
        (zip_of(bomb=" " * 10_000_000), 413, "bytes"),
        (zip_of(**{f"f{number}": {} for number in range(501)}), 413, "501"),
    ],
)
async def test_a_file_that_holds_no_flows_is_refused(content: bytes, status: int, says: str) -> None:
    packed = zipfile.ZipFile(io.BytesIO(content)) if zipfile.is_zipfile(io.BytesIO(content)) else None
    if packed is not None and any(entry.file_size > 1_000_000 for entry in packed.infolist()):
        content = recompressed(packed)
    response = await service().http.post("/api/v1/flows/upload/", files={"file": ("flows", content)})
    assert response.status_code == status
    assert says in response.json()["detail"]


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_that_says_it_is_small_is_unpacked_no_further(packing: int) -> None:
    packed = saying_it_has_two_bytes(one_file(b"{}" + b" " * 5_000_000, packing))

    tracemalloc.start()
    with pytest.raises(BundleError, match="The zip cannot be read"):
        read_bundle(packed, limit_bytes=1_000_000)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most < 1_000_000


def test_a_zip_whose_content_is_damaged_is_refused() -> None:
    packed = bytearray(one_file(json.dumps(ECHO).encode(), zipfile.ZIP_DEFLATED))
    packed[len(packed) // 4] ^= 0xFF

    with pytest.raises(BundleError, match="The zip cannot be read"):
        read_bundle(bytes(packed), limit_bytes=1_000_000)


def test_the_flows_of_a_zip_have_no_more_objects_than_one_body_may_have() -> None:
    many = "[" + "[]," * 600_000 + "0]"

    with pytest.raises(RequestTooLargeError, match="1,000,000 objects and lists"):
        read_bundle(zip_of(one=many, two=many), limit_bytes=16_000_000)


def one_file(content: bytes, packing: int) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", packing) as archive:
        archive.writestr("flow.json", content)
    return packed.getvalue()


def saying_it_has_two_bytes(packed: bytes) -> bytes:
    """Both places where a zip says how large its only file is."""
    directory, two = packed.rindex(b"PK\x01\x02"), struct.pack("<I", 2)
    lying = packed[:22] + two + packed[26:]
    return lying[: directory + 24] + two + lying[directory + 28 :]


def recompressed(packed: zipfile.ZipFile) -> bytes:
    small = io.BytesIO()
    with zipfile.ZipFile(small, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in packed.infolist():
            archive.writestr(entry.filename, packed.read(entry))
    return small.getvalue()


async def test_an_upload_without_a_file_says_how_to_send_one() -> None:
    response = await service().http.post("/api/v1/flows/upload/")
    assert (response.status_code, response.json()["code"]) == (400, "no_file")


@pytest.mark.parametrize("ids", [{}, ["no-uuid"], "x", None])
async def test_ids_that_are_none_are_refused(ids: object) -> None:
    made = service()
    for method, path in (("POST", "/api/v1/flows/download/"), ("DELETE", "/api/v1/flows/")):
        assert (await made.http.request(method, path, json=ids)).status_code == 422
