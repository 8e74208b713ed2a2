// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
// Outrider: metrics, runtime state and profiles of a Swift service, on one small port.
//
// The targets are floors of a house; imports only point down (scripts/check_layers.py proves it).
// The core fetches swift-metrics and no other package: each adapter and the framework that it is for
// sit behind a trait, and none is on by default. libmicrohttpd is needed by those who build
// `Outrider` or `OutriderEndpoint`; `OutriderMetrics` alone needs zlib (zlib1g-dev).

import PackageDescription

let strict: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("ExistentialAny"),
]

let package = Package(
    name: "outrider",
    platforms: [.macOS(.v26)],
    products: [
        .library(name: "Outrider", targets: ["Outrider"]),
        .library(name: "OutriderMetrics", targets: ["OutriderMetrics"]),
        .library(name: "OutriderRuntime", targets: ["OutriderRuntime"]),
        .library(name: "OutriderEndpoint", targets: ["OutriderEndpoint"]),
        .library(name: "OutriderHTTP", targets: ["OutriderHTTP"]),
        .library(name: "OutriderTesting", targets: ["OutriderTesting"]),
        .library(name: "OutriderHummingbird", targets: ["OutriderHummingbird"]),
        .library(name: "OutriderNIO", targets: ["OutriderNIO"]),
        .library(name: "OutriderFlyingFox", targets: ["OutriderFlyingFox"]),
        .library(name: "OutriderServiceLifecycle", targets: ["OutriderServiceLifecycle"]),
        .library(name: "OutriderTracing", targets: ["OutriderTracing"]),
        .library(name: "OutriderLogging", targets: ["OutriderLogging"]),
    ],
    traits: [
        .trait(name: "Hummingbird", description: "Middleware and /metrics for Hummingbird 2."),
        .trait(name: "NIO", description: "A channel handler for SwiftNIO's HTTP/1 parts."),
        .trait(
            name: "HTTPTypes", description: "The same for the parts of swift-http-types.",
            enabledTraits: ["NIO"]),
        .trait(name: "FlyingFox", description: "Timed routes for FlyingFox."),
        .trait(name: "ServiceLifecycle", description: "The agent as a Service."),
        .trait(name: "Tracing", description: "Exemplars from swift-distributed-tracing."),
        .trait(name: "Logging", description: "Logs to swift-log, and log_messages_total."),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-metrics.git", from: "2.13.0"),
        .package(
            url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.1"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras.git", from: "1.35.2"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.8.0"),
        .package(url: "https://github.com/swhitty/FlyingFox.git", from: "0.27.1"),
        .package(
            url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-distributed-tracing.git", from: "1.7.3"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.2"),
    ],
    targets: [
        // Floor 1
        .target(name: "OutriderThreading", swiftSettings: strict),
        .systemLibrary(
            name: "CMicroHTTPD", pkgConfig: "libmicrohttpd",
            providers: [.apt(["libmicrohttpd-dev"]), .brew(["libmicrohttpd"])]),
        .systemLibrary(
            name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),
        // Floor 2
        .target(
            name: "OutriderMetrics",
            dependencies: [
                "OutriderThreading", "CZlib",
                .product(name: "CoreMetrics", package: "swift-metrics"),
            ],
            swiftSettings: strict),
        .target(
            name: "OutriderEndpoint", dependencies: ["OutriderThreading", "CMicroHTTPD"],
            swiftSettings: strict),
        // Floor 3
        .target(
            name: "OutriderRuntime", dependencies: ["OutriderMetrics"], swiftSettings: strict),
        .target(
            name: "OutriderHTTP", dependencies: ["OutriderMetrics", "OutriderThreading"],
            swiftSettings: strict),
        // Floor 4
        .target(
            name: "Outrider",
            dependencies: [
                "OutriderMetrics", "OutriderRuntime", "OutriderEndpoint", "OutriderHTTP",
                "OutriderThreading",
            ],
            swiftSettings: strict),
        .target(
            name: "OutriderTesting", dependencies: ["OutriderMetrics"], swiftSettings: strict),
        // Floor 5: adapters, each behind its trait
        .target(
            name: "OutriderHummingbird",
            dependencies: [
                "OutriderHTTP", "OutriderMetrics", "OutriderThreading",
                .product(
                    name: "Hummingbird", package: "hummingbird",
                    condition: .when(traits: ["Hummingbird"])),
                .product(
                    name: "HTTPTypes", package: "swift-http-types",
                    condition: .when(traits: ["Hummingbird"])),
                .product(
                    name: "NIOCore", package: "swift-nio",
                    condition: .when(traits: ["Hummingbird"])),
                .product(
                    name: "NIOHTTP1", package: "swift-nio",
                    condition: .when(traits: ["Hummingbird"])),
            ],
            swiftSettings: strict),
        .target(
            name: "OutriderNIO",
            dependencies: [
                "OutriderHTTP",
                .product(
                    name: "NIOCore", package: "swift-nio", condition: .when(traits: ["NIO"])),
                .product(
                    name: "NIOHTTP1", package: "swift-nio", condition: .when(traits: ["NIO"])),
                .product(
                    name: "NIOHTTPTypes", package: "swift-nio-extras",
                    condition: .when(traits: ["HTTPTypes"])),
                .product(
                    name: "HTTPTypes", package: "swift-http-types",
                    condition: .when(traits: ["HTTPTypes"])),
            ],
            swiftSettings: strict),
        .target(
            name: "OutriderFlyingFox",
            dependencies: [
                "OutriderHTTP",
                .product(
                    name: "FlyingFox", package: "FlyingFox",
                    condition: .when(traits: ["FlyingFox"])),
                .product(
                    name: "FlyingSocks", package: "FlyingFox",
                    condition: .when(traits: ["FlyingFox"])),
            ],
            swiftSettings: strict),
        .target(
            name: "OutriderServiceLifecycle",
            dependencies: [
                "Outrider", "OutriderThreading",
                .product(
                    name: "ServiceLifecycle", package: "swift-service-lifecycle",
                    condition: .when(traits: ["ServiceLifecycle"])),
            ],
            swiftSettings: strict),
        .target(
            name: "OutriderTracing",
            dependencies: [
                .product(
                    name: "Tracing", package: "swift-distributed-tracing",
                    condition: .when(traits: ["Tracing"]))
            ],
            swiftSettings: strict),
        .target(
            name: "OutriderLogging",
            dependencies: [
                "OutriderMetrics",
                .product(
                    name: "Logging", package: "swift-log", condition: .when(traits: ["Logging"])),
            ],
            swiftSettings: strict),
        // Tests
        .executableTarget(
            name: "outrider-probe",
            dependencies: [
                "Outrider", "OutriderEndpoint", "CTestSupport", "TestSupport",
                .product(name: "CoreMetrics", package: "swift-metrics"),
            ],
            path: "Tests/Probe",
            swiftSettings: strict),
        .target(name: "CTestSupport", path: "Tests/CTestSupport"),
        .target(
            name: "TestSupport",
            dependencies: [
                "CTestSupport", "OutriderEndpoint", "OutriderMetrics", "OutriderTesting",
                "OutriderThreading",
            ],
            path: "Tests/TestSupport", swiftSettings: strict),
        .testTarget(
            name: "OutriderMetricsTests",
            dependencies: [
                "OutriderMetrics", "OutriderTesting",
                .product(name: "CoreMetrics", package: "swift-metrics"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderEndpointTests",
            dependencies: ["OutriderEndpoint", "TestSupport"], swiftSettings: strict),
        .testTarget(
            name: "OutriderRuntimeTests",
            dependencies: [
                "OutriderRuntime", "OutriderMetrics", "OutriderTesting", "TestSupport",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderHTTPTests",
            dependencies: ["OutriderHTTP", "OutriderMetrics", "OutriderTesting", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderTestingTests",
            dependencies: [
                "OutriderTesting", "OutriderMetrics", "TestSupport",
                .product(name: "CoreMetrics", package: "swift-metrics"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderTests",
            dependencies: [
                "Outrider", "OutriderEndpoint", "OutriderTesting", "TestSupport",
                .product(name: "CoreMetrics", package: "swift-metrics"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderHummingbirdTests",
            dependencies: [
                "OutriderHummingbird", "OutriderHTTP", "OutriderMetrics", "OutriderTesting",
                "TestSupport",
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(
                    name: "Hummingbird", package: "hummingbird",
                    condition: .when(traits: ["Hummingbird"])),
                .product(
                    name: "HTTPTypes", package: "swift-http-types",
                    condition: .when(traits: ["Hummingbird"])),
                .product(
                    name: "Logging", package: "swift-log",
                    condition: .when(traits: ["Hummingbird"])),
                .product(
                    name: "NIOCore", package: "swift-nio",
                    condition: .when(traits: ["Hummingbird"])),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderNIOTests",
            dependencies: [
                "OutriderNIO", "OutriderHTTP", "OutriderMetrics", "OutriderTesting", "TestSupport",
                .product(
                    name: "NIOCore", package: "swift-nio", condition: .when(traits: ["NIO"])),
                .product(
                    name: "NIOHTTP1", package: "swift-nio", condition: .when(traits: ["NIO"])),
                .product(
                    name: "NIOPosix", package: "swift-nio", condition: .when(traits: ["NIO"])),
                .product(
                    name: "HTTPTypes", package: "swift-http-types",
                    condition: .when(traits: ["HTTPTypes"])),
                .product(
                    name: "NIOHTTPTypes", package: "swift-nio-extras",
                    condition: .when(traits: ["HTTPTypes"])),
                .product(
                    name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras",
                    condition: .when(traits: ["HTTPTypes"])),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderFlyingFoxTests",
            dependencies: [
                "OutriderFlyingFox", "OutriderHTTP", "OutriderMetrics", "OutriderTesting",
                "TestSupport",
                .product(
                    name: "FlyingFox", package: "FlyingFox",
                    condition: .when(traits: ["FlyingFox"])),
                .product(
                    name: "FlyingSocks", package: "FlyingFox",
                    condition: .when(traits: ["FlyingFox"])),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderServiceLifecycleTests",
            dependencies: [
                "OutriderServiceLifecycle", "Outrider", "OutriderEndpoint", "OutriderTesting",
                "TestSupport",
                .product(
                    name: "ServiceLifecycle", package: "swift-service-lifecycle",
                    condition: .when(traits: ["ServiceLifecycle"])),
                .product(
                    name: "Logging", package: "swift-log",
                    condition: .when(traits: ["ServiceLifecycle"])),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderTracingTests",
            dependencies: [
                "OutriderTracing", "OutriderHTTP", "OutriderMetrics", "OutriderTesting",
                .product(
                    name: "Tracing", package: "swift-distributed-tracing",
                    condition: .when(traits: ["Tracing"])),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderLoggingTests",
            dependencies: [
                "OutriderLogging", "OutriderMetrics", "OutriderTesting",
                .product(
                    name: "Logging", package: "swift-log", condition: .when(traits: ["Logging"])),
                .product(
                    name: "InMemoryLogging", package: "swift-log",
                    condition: .when(traits: ["Logging"])),
            ],
            swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)
