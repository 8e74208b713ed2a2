// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
// A library of others that records through swift-metrics, on our backend.
// Tests/Integration/test_swift_metrics_libraries.py runs it.

import PackageDescription

let package = Package(
    name: "libraries",
    platforms: [.macOS(.v26)],
    dependencies: [
        .package(name: "outrider", path: "../.."),
        .package(
            url: "https://github.com/apple/swift-configuration.git", from: "1.4.0",
            traits: ["JSON", "Reloading"]),
    ],
    targets: [
        .executableTarget(
            name: "recorded-configuration",
            dependencies: [
                .product(name: "OutriderMetrics", package: "outrider"),
                .product(name: "Configuration", package: "swift-configuration"),
            ],
            swiftSettings: [.treatAllWarnings(as: .error)])
    ],
    swiftLanguageModes: [.v6]
)
