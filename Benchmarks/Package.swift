// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
// Benchmarks of the hot paths, from the outside: what a service that links Outrider gets.

import PackageDescription

let package = Package(
    name: "outrider-bench",
    platforms: [.macOS(.v26)],
    dependencies: [
        .package(name: "outrider", path: ".."),
        .package(url: "https://github.com/apple/swift-metrics.git", from: "2.13.0"),
    ],
    targets: [
        .target(name: "CBench"),
        .executableTarget(
            name: "outrider-bench",
            dependencies: [
                "CBench", .product(name: "OutriderMetrics", package: "outrider"),
                .product(name: "OutriderHTTP", package: "outrider"),
                .product(name: "OutriderInstruments", package: "outrider"),
                .product(name: "OutriderRuntime", package: "outrider"),
                .product(name: "CoreMetrics", package: "swift-metrics"),
            ],
            swiftSettings: [.treatAllWarnings(as: .error)]),
    ],
    swiftLanguageModes: [.v6]
)
