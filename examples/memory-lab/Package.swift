// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
// A product API that allocates, reuses and leaks memory, for trying heap profiles. A separate
// package, so that users of Outrider do not fetch a web server.

import PackageDescription

let package = Package(
    name: "memory-lab",
    platforms: [.macOS(.v26)],
    dependencies: [
        .package(name: "outrider", path: "../..", traits: ["FlyingFox"]),
        .package(url: "https://github.com/swhitty/FlyingFox", from: "0.27.1"),
    ],
    targets: [
        .executableTarget(
            name: "memory-lab",
            dependencies: [
                .product(name: "Outrider", package: "outrider"),
                .product(name: "OutriderHeap", package: "outrider"),
                .product(name: "OutriderFlyingFox", package: "outrider"),
                .product(name: "FlyingFox", package: "FlyingFox"),
            ],
            swiftSettings: [.treatAllWarnings(as: .error)])
    ],
    swiftLanguageModes: [.v6]
)
