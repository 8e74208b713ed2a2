// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
// A small order service with the agent linked in. A separate package, so that users of Outrider do
// not fetch a web server.

import PackageDescription

let package = Package(
    name: "quickstart",
    platforms: [.macOS(.v26)],
    dependencies: [
        .package(name: "outrider", path: "../..", traits: ["FlyingFox"]),
        .package(url: "https://github.com/swhitty/FlyingFox", from: "0.27.1"),
    ],
    targets: [
        .executableTarget(
            name: "quickstart",
            dependencies: [
                .product(name: "Outrider", package: "outrider"),
                .product(name: "OutriderFlyingFox", package: "outrider"),
                .product(name: "OutriderHeap", package: "outrider"),
                .product(name: "FlyingFox", package: "FlyingFox"),
            ],
            swiftSettings: [.treatAllWarnings(as: .error)])
    ],
    swiftLanguageModes: [.v6]
)
