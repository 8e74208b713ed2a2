// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
// A Hummingbird service with one short route, with and without a middleware that records requests;
// the difference is the middleware's cost.

import PackageDescription

let package = Package(
    name: "middleware-bench",
    platforms: [.macOS(.v26)],
    dependencies: [
        .package(name: "outrider", path: "../..", traits: ["Hummingbird"]),
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.1"),
        .package(url: "https://github.com/apple/swift-metrics.git", from: "2.13.0"),
    ],
    targets: [
        .executableTarget(
            name: "middleware-server",
            dependencies: [
                .product(name: "OutriderHummingbird", package: "outrider"),
                .product(name: "OutriderMetrics", package: "outrider"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "Metrics", package: "swift-metrics"),
            ],
            swiftSettings: [.treatAllWarnings(as: .error)])
    ],
    swiftLanguageModes: [.v6]
)
