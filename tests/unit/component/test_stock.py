"""What an image has, and what a module brings with it."""

from __future__ import annotations

import pytest

from flowray.component.stock import Stock

STOCK = Stock(
    image="mine",
    names={
        "numpy": frozenset({"numpy"}),
        "pandas": frozenset({"pandas"}),
        "google.auth": frozenset({"google-auth"}),
        "google.cloud.storage": frozenset({"google-cloud-storage"}),
        "lfx": frozenset({"lfx"}),
        "langchain_classic": frozenset({"langchain-classic"}),
    },
    standard=frozenset({"os", "json"}),
    needs={
        "pandas": frozenset({"numpy", "pytz"}),
        "pytz": frozenset(),
        "google-cloud-storage": frozenset({"google-auth"}),
        "google-auth": frozenset({"google-cloud-storage"}),
    },
)


@pytest.mark.parametrize(
    "module", ["os", "os.path", "numpy", "numpy.rec", "google", "google.cloud", "google.cloud.storage.client"]
)
def test_a_module_of_a_package_or_of_python_is_there(module: str) -> None:
    assert STOCK.has(module)


@pytest.mark.parametrize("module", ["boto3", "num", "google.maps", "google.cloud.bigquery", "np.random"])
def test_another_module_is_not(module: str) -> None:
    assert not STOCK.has(module)


@pytest.mark.parametrize("module", ["langflow.custom", "langflow", "langchain.agents"])
def test_what_lfx_takes_from_elsewhere_is_there(module: str) -> None:
    assert STOCK.has(module)


def test_a_module_brings_its_distribution_and_all_that_needs() -> None:
    assert STOCK.distributions(["pandas.core", "json"]) == {"pandas", "numpy", "pytz"}


def test_distributions_that_need_each_other_are_no_trap() -> None:
    assert STOCK.distributions(["google.auth"]) == {"google-auth", "google-cloud-storage"}
