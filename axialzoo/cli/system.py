"""``axialzoo info --system``."""

from __future__ import annotations

from typing import Any

from axialzoo.cli.shared import emit, say_if_compiling, show, stdout_kept_clean, table

PLAIN = "plain: the frameworks' own operations"


def run_system(as_json: bool, quiet: bool) -> None:
    """Print the system's packages, back ends and kernels."""
    from axialzoo import __version__
    from axialzoo.runtime.system import system

    with stdout_kept_clean():
        say_if_compiling(quiet)
        report = {"axialzoo": __version__, **system()}
    if as_json:
        emit(report)
        return
    show(*_tables(report))


def _tables(report: dict[str, Any]) -> list[Any]:
    kernel = report["kernel"]
    served = table("", "", title="CPU kernel")
    served.add_row("path", PLAIN if kernel["path"] == "plain" else kernel["path"])
    served.add_row("why", kernel["reason"])
    if kernel["library"]:
        served.add_row("usable here", ", ".join(kernel["instruction_sets"]))
        served.add_row("library", kernel["library"])
    for backend, serves in report["keras"].items():
        served.add_row(f"Keras ({backend})", f"{PLAIN if serves['path'] == 'plain' else serves['path']}; {serves['reason']}")
    on_gpu = table("", "", title="GPU kernel, for PyTorch")
    on_gpu.add_row("path", "plain: PyTorch's own operations" if report["gpu_kernel"]["path"] == "plain" else report["gpu_kernel"]["path"])
    on_gpu.add_row("why", report["gpu_kernel"]["reason"])
    machine = table("", "", title="machine")
    machine.add_row("processor", report["processor"])
    machine.add_row("cores to use", str(report["cores"]))
    machine.add_row("threads of PyTorch", "-" if report["threads"] is None else str(report["threads"]))
    machine.add_row("system", f"{report['platform']}, Python {report['python']}")
    packages = table("", "", title="packages")
    packages.add_row("axialzoo", report["axialzoo"])
    for name, version in report["packages"].items():
        packages.add_row(name, version or "not installed")
    return [served, "", on_gpu, "", machine, "", packages]
