"""What flows are made of works behind the walls; what cannot work answers with an ordinary error."""

import pytest

from tests.integration.sandbox.conftest import Inside

WORKS = {
    "numpy": "import numpy as n; result = float(n.linalg.inv(n.eye(3) * 2).sum())",
    "numpy with files": "import numpy as n; n.save('a.npy', n.arange(3)); result = n.load('a.npy').tolist()",
    "pandas": "import pandas as p; f = p.DataFrame({'a': [1, 2]}); f.to_csv('x.csv'); "
    "result = int(p.read_csv('x.csv').a.sum())",
    "langchain": "from langchain_core.prompts import PromptTemplate as P; "
    "result = P.from_template('Hi {a}').invoke({'a': 'you'}).text",
    "openai": "import openai; result = openai.OpenAI(api_key='k', base_url='http://x.test').base_url.host",
    "beautifulsoup": "from bs4 import BeautifulSoup as B; result = B('<p>hi</p>', 'html.parser').p.text",
    "lxml": "import lxml.html as h; result = h.fromstring('<p>hi</p>').text_content()",
    "sqlite in /tmp": "import sqlite3; d = sqlite3.connect('/tmp/x.db'); d.execute('create table t (a)'); "
    "d.execute('insert into t values (7)'); d.commit(); result = d.execute('select a from t').fetchone()[0]",
    "threads": "from concurrent.futures import ThreadPoolExecutor as T; result = sum(T(4).map(abs, [-1, -2]))",
    "asyncio": "import asyncio\nresult = asyncio.run(asyncio.to_thread(abs, -1))",
    "pypdf": "import pypdf as p; w = p.PdfWriter(); w.add_blank_page(9, 9); w.write('x.pdf'); "
    "result = len(p.PdfReader('x.pdf').pages)",
    "temporary files": "import tempfile; f = tempfile.NamedTemporaryFile(); f.write(b'x'); f.flush(); "
    "result = open(f.name).read()",
    "zip, hash, random": "import zipfile, hashlib, secrets; z = zipfile.ZipFile('z.zip', 'w'); z.writestr('a', 'b'); "
    "z.close(); result = zipfile.ZipFile('z.zip').read('a').decode() + hashlib.sha256(b'').hexdigest()[:2]",
}
DOES_NOT = {
    "subprocess": "import subprocess; subprocess.run(['true'])",
    "multiprocessing": "import multiprocessing as m; p = m.get_context('fork').Process(target=print); p.start()",
    "a listening server": "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()",
    "a unix socket": "import socket; socket.socket(socket.AF_UNIX)",
    "writing beside /tmp": "open('/packages/x.py', 'w')",
    "memory files": "import os; os.memfd_create('x')",
}


@pytest.mark.parametrize("name", WORKS)
async def test_it_works_inside(inside: Inside, name: str) -> None:
    answer = await inside.run(WORKS[name], egress=["example.org"])

    assert answer.result is not None


@pytest.mark.parametrize("name", DOES_NOT)
async def test_it_does_not_work_inside_and_says_so_with_an_os_error(inside: Inside, name: str) -> None:
    answer = await inside.run(DOES_NOT[name], egress=["example.org"])

    assert answer.error_type in {"PermissionError", "OSError", "FileNotFoundError"}


async def test_a_time_is_read_as_lfx_reads_it(inside: Inside) -> None:
    answer = await inside.run("""
from datetime import datetime, timezone, timedelta
from flowray_sandbox import timestamps
from lfx.schema import validators as v

timestamps.install()

def told(read, moment):
    try:
        return read(moment)
    except Exception as failure:
        return f"{type(failure).__name__}: {failure}"

moments = [
    "2026-11-25 21:00:00.123456 UTC", "2026-11-25 21:00:00.000000 UTC", "2024-02-29 00:00:00.000001 UTC",
    "2026-02-30 21:00:00.123456 UTC", "2026-W48-3 21:00:00.123456 UTC", "0026-11-25 21:00:00.123456 UTC",
    "2026-11-25 24:00:00.000000 UTC", "2026-11-25T21:00:00.123456 UTC", "2026-11-25 21:00:00.12345 UTC",
    " 2026-11-25 21:00:00.12345 UTC", "2026-11-25 21:00:00 UTC", "2026-11-25T21:00:00.5+02:00", "", " UTC",
    "x" * 26 + " UTC",
    datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2))), datetime(2026, 1, 1), None, 7,
]
result = [[told(v.timestamp_to_str, one), told(v._thoroughly, one)] for one in moments]
""")

    assert [quick for quick, _ in answer.result] == [thorough for _, thorough in answer.result]
    assert answer.result[0][0] == "2026-11-25 21:00:00.123456 UTC"
