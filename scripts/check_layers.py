#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that imports point downwards only.

The targets form layers. A target may import the modules that the table below grants it, and no
others: no other target of its layer, nothing from a higher layer, and no Foundation, except where a
framework's own types are Foundation's. A target that is missing from the table is an error as well,
so that a new one must be assigned a layer first.
"""

import sys
from pathlib import Path

from imports import imports_of

LIBC = {"Glibc", "Musl", "Darwin"}
SYSTEM = LIBC | {"Synchronization"}

# From the bottom up: the targets of each layer, and the modules that each one may import.
FLOORS = [
    {
        "COutriderCells": set(),
        "COutriderFork": set(),
        "COutriderOutput": set(),
        "COutriderStack": set(),
        "COutriderSymbols": set(),
        "CMicroHTTPD": set(),
        "CZlib": set(),
    },
    {
        "OutriderThreading": SYSTEM | {"Dispatch", "COutriderFork"},
        "OutriderWire": {"CZlib"},
    },
    {
        "OutriderMetrics": SYSTEM
        | {"COutriderCells", "COutriderOutput", "OutriderThreading", "OutriderWire", "CoreMetrics"},
        "OutriderEndpoint": SYSTEM | {"Dispatch", "OutriderThreading", "CMicroHTTPD"},
        "OutriderProfile": SYSTEM | {"OutriderThreading", "OutriderWire", "COutriderSymbols"},
        "COutriderHeap": {"COutriderStack", "COutriderSymbols"},
        "COutriderRuntime": {"COutriderStack"},
    },
    {
        "OutriderRuntime": SYSTEM
        | {
            "OutriderThreading",
            "OutriderMetrics",
            "OutriderProfile",
            "COutriderStack",
            "COutriderRuntime",
        },
        "OutriderHTTP": SYSTEM | {"OutriderThreading", "OutriderMetrics", "OutriderProfile"},
        "OutriderInstruments": SYSTEM | {"OutriderThreading", "OutriderMetrics"},
        # Not built by SwiftPM, but by scripts/preload.sh.
        "COutriderPreload": {"COutriderOutput", "COutriderStack", "COutriderSymbols", "COutriderHeap"},
        "OutriderHeap": SYSTEM
        | {
            "OutriderThreading",
            "OutriderMetrics",
            "OutriderProfile",
            "COutriderStack",
            "COutriderHeap",
        },
    },
    {
        "Outrider": SYSTEM
        | {
            "Dispatch",
            "OutriderThreading",
            "OutriderMetrics",
            "OutriderEndpoint",
            "OutriderRuntime",
            "OutriderHTTP",
            "OutriderProfile",
        },
        "OutriderTesting": SYSTEM | {"OutriderThreading", "OutriderMetrics"},
    },
    # Adapters: each may import its framework, but only if its trait is on.
    {
        "OutriderHummingbird": SYSTEM
        | {"OutriderThreading", "OutriderMetrics", "OutriderHTTP"}
        | {"Hummingbird", "HTTPTypes", "NIOCore", "NIOHTTP1"},
        "OutriderNIO": SYSTEM
        | {"OutriderThreading", "OutriderMetrics", "OutriderHTTP", "OutriderRuntime"}
        | {"NIOCore", "NIOPosix", "NIOHTTP1", "NIOHTTPTypes", "HTTPTypes"},
        "OutriderGRPC": SYSTEM
        | {"OutriderThreading", "OutriderMetrics", "OutriderHTTP", "GRPCCore"},
        "OutriderAsyncHTTPClient": SYSTEM
        | {"OutriderThreading", "OutriderMetrics", "OutriderHTTP"}
        | {"AsyncHTTPClient", "NIOCore", "NIOHTTP1"},
        "OutriderFlyingFox": {"OutriderHTTP", "FlyingFox", "FlyingSocks", "Foundation"},
        "OutriderServiceLifecycle": {
            "Dispatch",
            "OutriderThreading",
            "Outrider",
            "ServiceLifecycle",
        },
        "OutriderTracing": {"Tracing"},
        "OutriderLogging": {"OutriderMetrics", "Logging"},
    },
]

def faults_of_table():
    """Yields a message for each entry of the table that does not point downwards."""
    floor_of = {target: floor for floor, targets in enumerate(FLOORS) for target in targets}
    for target, floor in floor_of.items():
        for module in sorted(FLOORS[floor][target]):
            if floor_of.get(module, -1) >= floor:
                yield f"scripts/check_layers.py: {target} must not be allowed to import {module}, which is not on a lower layer"


def faults_of_sources(sources):
    """Yields `file:line: problem` for each import that the table does not grant."""
    granted = {target: modules for targets in FLOORS for target, modules in targets.items()}
    for folder in sorted(path for path in sources.iterdir() if path.is_dir()):
        target = folder.name
        files = sorted(folder.rglob("*.swift"))
        if target not in granted:
            yield f"{folder}: the target {target} is missing from the layers in scripts/check_layers.py"
            continue
        for file in files:
            for found in imports_of(file):
                if found.module not in granted[target]:
                    yield f"{file}:{found.line}: {target} must not import {found.module}"


def main():
    sources = Path(__file__).resolve().parent.parent / "Sources"
    faults = [*faults_of_table(), *faults_of_sources(sources)]
    for fault in faults:
        print(fault.replace(f"{sources.parent}/", ""), file=sys.stderr)
    if faults:
        return 1
    print("All imports point to lower layers.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
