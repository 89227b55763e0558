"""Files over HTTP: those of a flow, and those of a tenant."""

from __future__ import annotations

import asyncio
import io
import uuid
import zipfile

from flowray.runner.asking import Ask
from flowray.stores.documents import Documents
from flowray.stores.drawer import Drawer
from flowray.stores.generations import MemoryGenerations
from flowray.stores.objects import open_objects
from flowray.stores.records import UploadRecord
from flowray_serve.own_files import OwnFiles
from flowray_serve.run_service import RunOrder
from tests.unit.serve.service import ECHO, OTHER_KEY, Service, canvas, drawn, service


async def upload(made: Service, flow: str, name: str, content: bytes = b"hello") -> str:
    response = await made.http.post(f"/api/v1/files/upload/{flow}", files={"file": (name, content)})
    assert response.status_code == 201, response.text
    path: str = response.json()["file_path"]
    return path


async def own_file(made: Service, name: str = "notes.txt", content: bytes = b"hello") -> dict[str, str]:
    response = await made.http.post("/api/v2/files", files={"file": (name, content)})
    assert response.status_code == 201, response.text
    found: dict[str, str] = response.json()
    return found


async def test_a_flows_file_is_listed_downloaded_and_deleted() -> None:
    made = service()
    flow = await made.publish(ECHO)
    name = (await upload(made, flow, "no tes.txt")).partition("/")[2]
    assert (await made.http.get(f"/api/v1/files/list/{flow}")).json() == {"files": [name]}
    assert (await made.http.get(f"/api/v1/files/download/{flow}/{name}")).content == b"hello"
    assert (await made.http.delete(f"/api/v1/files/delete/{flow}/{name}")).status_code == 200
    assert (await made.http.get(f"/api/v1/files/download/{flow}/{name}")).status_code == 404


async def test_a_file_that_is_cut_off_is_not_kept() -> None:
    made = service()
    content = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhel'
    headers = {"content-type": "multipart/form-data; boundary=x"}
    cut = await made.http.post("/api/v2/files", content=content, headers=headers)
    assert (cut.status_code, cut.json()["code"]) == (400, "malformed_form")
    assert "ends before its last boundary" in cut.json()["detail"]
    assert (await made.http.get("/api/v2/files")).json() == []


async def test_only_images_are_shown_as_such_and_never_run_as_a_page() -> None:
    made = service()
    flow = await made.publish(ECHO)
    picture = (await upload(made, flow, "a.svg", b"<svg/>")).partition("/")[2]
    text = (await upload(made, flow, "a.html")).partition("/")[2]
    shown = await made.http.get(f"/api/v1/files/images/{flow}/{picture}")
    assert shown.headers["content-type"] == "image/svg+xml"
    assert (shown.headers["content-disposition"], shown.headers["x-content-type-options"]) == ("attachment", "nosniff")
    assert (await made.http.get(f"/api/v1/files/images/{flow}/{text}")).status_code == 422


async def test_an_own_file_is_read_by_any_flow_that_names_its_path() -> None:
    made = service()
    path = (await own_file(made))["path"]
    node = drawn("File-1", path={"type": "file", "value": "", "name": "path", "file_path": path, "list": True})
    flow = await made.publish(canvas(node))
    run = await made.http.post(f"/api/v1/run/{flow}", json={"tweaks": {"File-1": {"input_value": path}}})
    assert run.status_code == 200, run.text
    assert list(made.steps.requests[-1].files) == [path]


async def test_another_tenants_own_file_is_read_by_nobody_else() -> None:
    made = service()
    path = (await own_file(made))["path"]
    key = {"x-api-key": OTHER_KEY}
    flow = (await made.http.post("/api/v1/flows/", json=ECHO, headers=key)).json()["id"]
    tweaks = {"ChatOutput-1": {"input_value": path}}
    await made.http.post(f"/api/v1/run/{flow}", json={"tweaks": tweaks}, headers=key)
    assert made.steps.requests[-1].files == {}


async def test_own_files_are_listed_renamed_and_deleted() -> None:
    made = service()
    first, second = await own_file(made), await own_file(made)
    assert [first["path"].partition("/")[2], second["path"].partition("/")[2]] == ["notes.txt", "notes (1).txt"]
    renamed = (await made.http.put(f"/api/v2/files/{first['id']}?name=new")).json()
    assert (renamed["name"], renamed["path"]) == ("new", first["path"])
    assert [one["name"] for one in (await made.http.get("/api/v2/files/")).json()] == ["new", "notes (1)"]
    assert (await made.http.delete(f"/api/v2/files/{first['id']}")).status_code == 200
    assert (await made.http.delete("/api/v2/files")).json() == {"message": "All 1 files deleted successfully"}
    assert (await made.http.get("/api/v2/files")).json() == []


async def test_own_files_of_one_name_that_come_at_the_same_moment_are_kept_apart() -> None:
    made = service()
    contents = [b"one", b"two", b"three"]
    kept = await asyncio.gather(*(own_file(made, content=content) for content in contents))
    assert len({one["path"] for one in kept}) == len(contents)
    for one, content in zip(kept, contents, strict=True):
        assert (await made.http.get(f"/api/v2/files/{one['id']}")).content == content


async def test_several_own_files_come_as_a_zip() -> None:
    made = service()
    ids = [(await own_file(made, name))["id"] for name in ("a.txt", "b.txt")]
    packed = await made.http.post("/api/v2/files/batch/", json=ids)
    assert sorted(zipfile.ZipFile(io.BytesIO(packed.content)).namelist()) == ["a.txt", "b.txt"]
    deleted = await made.http.request("DELETE", "/api/v2/files/batch/", json=ids)
    assert deleted.json() == {"message": "2 files deleted successfully"}


async def test_an_own_file_that_is_not_there_is_a_404() -> None:
    made = service()
    nobodys = uuid.uuid4()
    for method, path in (("GET", ""), ("PUT", "?name=x"), ("DELETE", "")):
        assert (await made.http.request(method, f"/api/v2/files/{nobodys}{path}")).status_code == 404
    assert (await made.http.post("/api/v2/files/batch/", json=[str(nobodys)])).status_code == 404


async def test_what_a_component_wrote_is_among_the_files_of_its_runs_tenant_under_a_plain_name() -> None:
    made = service()
    request = await made.services.runs.prepare("default", await made.publish(ECHO), RunOrder())
    ask = Ask(what="files.keep", details={"name": "../../rivers.txt"}, blob=b"Elbe")

    answer = await OwnFiles(made.services.uploads, made.services.store).written(request, ask)

    (listed,) = (await made.http.get("/api/v2/files")).json()
    assert (listed["id"], listed["name"], listed["path"].partition("/")[2]) == (
        answer.value["id"],
        "rivers",
        "rivers.txt",
    )
    assert (await made.http.get(f"/api/v2/files/{listed['id']}")).content == b"Elbe"
    assert (await made.http.get("/api/v2/files", headers={"x-api-key": OTHER_KEY})).json() == []


async def test_a_file_whose_sender_goes_before_it_is_on_record_leaves_nothing() -> None:
    objects, began = open_objects("memory:"), asyncio.Event()

    class Waiting(Drawer[UploadRecord]):
        async def save(self, tenant: str, record: UploadRecord) -> None:
            began.set()
            await asyncio.Event().wait()

    files = OwnFiles(Waiting(objects, "uploads", UploadRecord), Documents(objects, MemoryGenerations()))

    keeping = asyncio.create_task(files.keep("default", "a.txt", b"x"))
    await began.wait()
    keeping.cancel()
    await asyncio.wait({keeping})

    assert [one.key async for one in objects.list("tenants")] == []
