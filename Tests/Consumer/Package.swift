// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
// A service that uses the core without adapters. scripts/check-consumer.sh checks that it fetches
// swift-metrics and no other package.

import PackageDescription

let package = Package(
    name: "consumer",
    platforms: [.macOS(.v26)],
    dependencies: [.package(name: "outrider", path: "../..")],
    targets: [
        .executableTarget(
            name: "consumer", dependencies: [.product(name: "Outrider", package: "outrider")],
            swiftSettings: [.treatAllWarnings(as: .error)])
    ],
    swiftLanguageModes: [.v6]
)
