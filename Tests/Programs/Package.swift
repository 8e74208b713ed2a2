// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
// All programs that tests, labs and benchmarks run, in one package, so that Outrider and each
// framework are compiled for release once. The examples and benchmarks are links to their
// directories; scripts/check_manifests.py checks that the examples' own manifests agree with this
// one.
//
//     scripts/build-release.sh storefront

import PackageDescription

func outrider(_ product: String) -> Target.Dependency {
    .product(name: product, package: "outrider")
}

func nio(_ product: String) -> Target.Dependency { .product(name: product, package: "swift-nio") }

let lifecycle = "swift-service-lifecycle"
let settings: [SwiftSetting] = [.treatAllWarnings(as: .error)]
// As in small images: with the Swift runtime linked statically.
let linkedStatically: [LinkerSetting] = [.unsafeFlags(["-static-stdlib"])]

let package = Package(
    name: "programs",
    platforms: [.macOS(.v26)],
    dependencies: [
        .package(
            name: "outrider", path: "../..",
            traits: ["FlyingFox", "Hummingbird", "NIO", "ServiceLifecycle"]),
        .package(url: "https://github.com/swhitty/FlyingFox", from: "0.27.1"),
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.1"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-metrics.git", from: "2.13.0"),
        .package(url: "https://github.com/groue/GRDB.swift.git", from: "7.10.0"),
        .package(
            url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
        .package(
            url: "https://github.com/apple/swift-configuration.git", from: "1.4.0",
            traits: ["JSON", "Reloading"]),
    ],
    targets: [
        // The examples
        .executableTarget(
            name: "quickstart",
            dependencies: [
                outrider("Outrider"), outrider("OutriderFlyingFox"), outrider("OutriderHeap"),
                .product(name: "FlyingFox", package: "FlyingFox"),
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "memory-lab",
            dependencies: [
                outrider("Outrider"), outrider("OutriderFlyingFox"), outrider("OutriderHeap"),
                .product(name: "FlyingFox", package: "FlyingFox"),
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "storefront",
            dependencies: [
                outrider("Outrider"), outrider("OutriderInstruments"), outrider("OutriderHeap"),
                outrider("OutriderHummingbird"), outrider("OutriderNIO"),
                outrider("OutriderServiceLifecycle"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "ServiceLifecycle", package: lifecycle),
                nio("NIOCore"), nio("NIOPosix"),
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "chat",
            dependencies: [
                outrider("Outrider"), outrider("OutriderInstruments"), outrider("OutriderNIO"),
                .product(name: "UnixSignals", package: lifecycle),
                nio("NIOCore"), nio("NIOPosix"), nio("NIOHTTP1"), nio("NIOWebSocket"),
            ],
            swiftSettings: settings),
        // The benchmarks of the hot paths, from outside: as a service that links Outrider uses them
        .target(name: "CBench"),
        .executableTarget(
            name: "outrider-bench",
            dependencies: [
                "CBench", outrider("OutriderMetrics"), outrider("OutriderHTTP"),
                outrider("OutriderInstruments"), outrider("OutriderRuntime"),
                .product(name: "CoreMetrics", package: "swift-metrics"),
            ],
            swiftSettings: settings),
        // The same program without and with Outrider: test_linking.py, test_constrained_hosts.py
        .target(name: "HostBehaviour", swiftSettings: settings),
        .executableTarget(
            name: "bare", dependencies: ["HostBehaviour"], swiftSettings: settings,
            linkerSettings: linkedStatically),
        .executableTarget(
            name: "linked",
            dependencies: ["HostBehaviour", outrider("Outrider"), outrider("OutriderHeap")],
            swiftSettings: settings, linkerSettings: linkedStatically),
        // A third-party library that records through swift-metrics: test_swift_metrics_libraries.py
        .executableTarget(
            name: "recorded-configuration",
            dependencies: [
                outrider("OutriderMetrics"),
                .product(name: "Configuration", package: "swift-configuration"),
            ],
            swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
