// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
// The same program with Outrider linked in and without, as small images have it: with a Swift that is
// linked statically. Tests/Integration/test_linking.py and test_constrained_hosts.py run them.

import PackageDescription

let settings: [SwiftSetting] = [.treatAllWarnings(as: .error)]

let package = Package(
    name: "hosts",
    platforms: [.macOS(.v26)],
    dependencies: [.package(name: "outrider", path: "../..")],
    targets: [
        .target(name: "HostBehaviour", swiftSettings: settings),
        .executableTarget(
            name: "bare", dependencies: ["HostBehaviour"], swiftSettings: settings),
        .executableTarget(
            name: "linked",
            dependencies: [
                "HostBehaviour",
                .product(name: "Outrider", package: "outrider"),
                .product(name: "OutriderHeap", package: "outrider"),
            ], swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
