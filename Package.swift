// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
// Outrider: metrics, runtime state and profiles of a Swift service, on one small port.
//
// The targets are floors of a house; imports only point down (scripts/check_layers.py proves it).
// The core fetches no other package. libmicrohttpd is needed by those who build `Outrider` or
// `OutriderEndpoint`; `OutriderMetrics` alone needs zlib (zlib1g-dev).

import PackageDescription

let strict: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("ExistentialAny"),
]

let package = Package(
    name: "outrider",
    platforms: [.macOS(.v26)],
    products: [
        .library(name: "Outrider", targets: ["Outrider"]),
        .library(name: "OutriderMetrics", targets: ["OutriderMetrics"]),
        .library(name: "OutriderRuntime", targets: ["OutriderRuntime"]),
        .library(name: "OutriderEndpoint", targets: ["OutriderEndpoint"]),
        .library(name: "OutriderTesting", targets: ["OutriderTesting"]),
    ],
    targets: [
        // Floor 1
        .target(name: "OutriderThreading", swiftSettings: strict),
        .systemLibrary(
            name: "CMicroHTTPD", pkgConfig: "libmicrohttpd",
            providers: [.apt(["libmicrohttpd-dev"]), .brew(["libmicrohttpd"])]),
        .systemLibrary(
            name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),
        // Floor 2
        .target(
            name: "OutriderMetrics", dependencies: ["OutriderThreading", "CZlib"],
            swiftSettings: strict),
        .target(
            name: "OutriderEndpoint", dependencies: ["OutriderThreading", "CMicroHTTPD"],
            swiftSettings: strict),
        // Floor 3
        .target(
            name: "OutriderRuntime", dependencies: ["OutriderMetrics"], swiftSettings: strict),
        // Floor 4
        .target(
            name: "Outrider",
            dependencies: [
                "OutriderMetrics", "OutriderRuntime", "OutriderEndpoint", "OutriderThreading",
            ],
            swiftSettings: strict),
        .target(
            name: "OutriderTesting", dependencies: ["OutriderMetrics"], swiftSettings: strict),
        // Tests
        .executableTarget(
            name: "outrider-probe", dependencies: ["Outrider", "CTestSupport", "TestSupport"],
            path: "Tests/Probe",
            swiftSettings: strict),
        .target(name: "CTestSupport", path: "Tests/CTestSupport"),
        .target(
            name: "TestSupport", dependencies: ["CTestSupport", "OutriderEndpoint"],
            path: "Tests/TestSupport", swiftSettings: strict),
        .testTarget(
            name: "OutriderMetricsTests", dependencies: ["OutriderMetrics", "OutriderTesting"],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderEndpointTests",
            dependencies: ["OutriderEndpoint", "TestSupport"], swiftSettings: strict),
        .testTarget(
            name: "OutriderRuntimeTests",
            dependencies: [
                "OutriderRuntime", "OutriderMetrics", "OutriderTesting", "TestSupport",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderTestingTests", dependencies: ["OutriderTesting", "OutriderMetrics"],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderTests", dependencies: ["Outrider", "OutriderTesting", "TestSupport"],
            swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)
