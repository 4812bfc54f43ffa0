"""A pytest plugin: a test that is skipped fails, unless the real inputs are not here. For CI: `-p tests.no_skips`."""

import typing

import pytest

PERMITTED = "Skipped: real inputs are not here"


def _refuse_skip(report: typing.Any) -> None:
    if report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not reason.startswith(PERMITTED):
        report.outcome, report.longrepr = "failed", f"no test may be skipped here ({reason})"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> typing.Generator[None, typing.Any, typing.Any]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> typing.Generator[None, typing.Any, typing.Any]:
    report = yield
    _refuse_skip(report)
    return report
