// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
// A product API that wastes memory, saves it and leaks it, to be looked at with heap profiles. A package
// of its own, so that nobody who uses Outrider fetches a web server because of it.

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
