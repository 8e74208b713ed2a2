// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
// The examples that need a framework, in one package, so that no framework is built twice: an order
// service on Hummingbird, and a WebSocket chat on SwiftNIO. Users of Outrider do not fetch these
// dependencies.

import PackageDescription

func outrider(_ product: String) -> Target.Dependency {
    .product(name: product, package: "outrider")
}

func nio(_ product: String) -> Target.Dependency { .product(name: product, package: "swift-nio") }

let package = Package(
    name: "examples",
    platforms: [.macOS(.v26)],
    dependencies: [
        .package(name: "outrider", path: "..", traits: ["Hummingbird", "NIO", "ServiceLifecycle"]),
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.1"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
        .package(url: "https://github.com/groue/GRDB.swift.git", from: "7.10.0"),
        .package(
            url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
    ],
    targets: [
        .executableTarget(
            name: "storefront",
            dependencies: [
                outrider("Outrider"), outrider("OutriderInstruments"), outrider("OutriderHeap"),
                outrider("OutriderHummingbird"), outrider("OutriderNIO"),
                outrider("OutriderServiceLifecycle"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                nio("NIOCore"), nio("NIOPosix"),
            ],
            path: "storefront",
            swiftSettings: [.treatAllWarnings(as: .error)]),
        .executableTarget(
            name: "chat",
            dependencies: [
                outrider("Outrider"), outrider("OutriderInstruments"), outrider("OutriderNIO"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                nio("NIOCore"), nio("NIOPosix"), nio("NIOHTTP1"), nio("NIOWebSocket"),
            ],
            path: "chat",
            swiftSettings: [.treatAllWarnings(as: .error)]),
    ],
    swiftLanguageModes: [.v6]
)
