from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration.sandbox.conftest import Inside, start

ASKED = """
import sys
name = spec["module"]
try:
    __import__(name)
    result = "imported"
except Exception as failure:
    result = f"{type(failure).__name__}: {failure}"
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def bare() -> AsyncIterator[Inside]:
    """A zygote that has imported numpy and nothing else of the image."""
    zygote = await start(preload=["numpy"])
    yield Inside(zygote)
    await zygote.stop()


async def test_an_undeclared_package_cannot_be_imported_and_the_error_says_what_to_do(bare: Inside) -> None:
    answer = await bare.run(ASKED, module="pandas", packages=[])

    assert answer.result.startswith(
        "ModuleNotFoundError: No module named 'pandas': its package `pandas` is not declared"
    )


async def test_a_declared_package_is_imported_with_what_it_needs(bare: Inside) -> None:
    needed = ["pandas", "python-dateutil", "pytz", "tzdata", "six"]

    answer = await bare.run(ASKED, module="pandas", packages=needed)

    assert answer.result == "imported"


@pytest.mark.parametrize("name", ["bs4", "six", "yaml"])
async def test_a_folder_a_single_file_and_a_compiled_module_are_all_held(bare: Inside, name: str) -> None:
    answer = await bare.run(ASKED, module=name, packages=[])

    assert answer.result.startswith("ModuleNotFoundError")


async def test_what_the_zygote_has_imported_counts_as_declared(bare: Inside) -> None:
    answer = await bare.run("import numpy.polynomial.hermite, numpy; result = numpy.__name__", packages=[])

    assert answer.result == "numpy"


async def test_the_standard_library_needs_no_declaration(bare: Inside) -> None:
    answer = await bare.run("import sqlite3, xml.dom.minidom, wave; result = 1", packages=[])

    assert answer.result == 1


WAYS_AROUND = {
    "the finder removed": "import sys; sys.meta_path.pop(0); import pandas",
    "a loader of one's own": "import importlib.machinery as m\n"
    "m.SourceFileLoader('six', '/packages/six.py').load_module()",
    "the source read": "exec(open('/packages/six.py').read())",
    "the bytecode read": "import glob; open(glob.glob('/packages/__pycache__/six.*.pyc')[0], 'rb')",
    "a library loaded": "import ctypes, glob; ctypes.CDLL(glob.glob('/packages/yaml/*.so')[0])",
    "another path": "import sys; sys.meta_path.pop(0); sys.path.insert(0, '/packages/../packages'); import pandas",
    "a link": "import os; os.symlink('/packages/six.py', '/tmp/mine.py'); open('/tmp/mine.py')",
    "a hard link": "import os; os.link('/packages/six.py', '/tmp/mine.py')",
}


@pytest.mark.parametrize("way", WAYS_AROUND)
async def test_the_kernel_holds_whoever_goes_around_the_finder(bare: Inside, way: str) -> None:
    answer = await bare.run(WAYS_AROUND[way], packages=[])

    assert answer.error_type in {"PermissionError", "OSError", "ModuleNotFoundError", "ImportError"}, answer.said


async def test_without_a_list_all_of_the_image_can_be_imported(bare: Inside) -> None:
    answer = await bare.run(ASKED, module="pandas")

    assert answer.result == "imported"


async def test_the_wall_costs_no_descriptor_and_leaves_tmp_usable(bare: Inside) -> None:
    code = "import os\nopen('/tmp/x', 'w').write('kept')\nresult = open('/tmp/x').read(), os.dup(0)"

    answer = await bare.run(code, packages=[])

    assert answer.result == ["kept", 4]
