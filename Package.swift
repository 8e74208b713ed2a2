// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
// Outrider: an in-process observability and profiling agent for Swift services.
//
// The targets form layers, and imports only point down (scripts/check_layers.py verifies it). The
// core depends on swift-metrics and no other package: each adapter and its framework are behind a
// trait, and no trait is on by default. `Outrider` and `OutriderEndpoint` need libmicrohttpd;
// `OutriderMetrics` alone needs zlib (zlib1g-dev).

import PackageDescription

// Only settings that a dependency may have, so not warnings as errors: SwiftPM compiles a package
// from a URL without warnings. `make test` fails if one of our targets has a warning.
let strict: [SwiftSetting] = [
    .strictMemorySafety(),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("ExistentialAny"),
]

let strictC: [CSetting] = [.enableWarning("all"), .enableWarning("extra")]

/// A product of a framework, which is fetched and linked only with its trait.
func product(_ name: String, of package: String, with trait: String) -> Target.Dependency {
    .product(name: name, package: package, condition: .when(traits: [trait]))
}

let package = Package(
    name: "outrider",
    platforms: [.macOS(.v26)],
    products: [
        .library(name: "Outrider", targets: ["Outrider"]),
        .library(name: "OutriderMetrics", targets: ["OutriderMetrics"]),
        .library(name: "OutriderRuntime", targets: ["OutriderRuntime"]),
        .library(name: "OutriderEndpoint", targets: ["OutriderEndpoint"]),
        .library(name: "OutriderHTTP", targets: ["OutriderHTTP"]),
        .library(name: "OutriderInstruments", targets: ["OutriderInstruments"]),
        .library(name: "OutriderProfile", targets: ["OutriderProfile"]),
        // Linking this product replaces malloc.
        .library(name: "OutriderHeap", targets: ["OutriderHeap"]),
        .library(name: "OutriderTesting", targets: ["OutriderTesting"]),
        .library(name: "OutriderHummingbird", targets: ["OutriderHummingbird"]),
        .library(name: "OutriderNIO", targets: ["OutriderNIO"]),
        .library(name: "OutriderFlyingFox", targets: ["OutriderFlyingFox"]),
        .library(name: "OutriderGRPC", targets: ["OutriderGRPC"]),
        .library(name: "OutriderAsyncHTTPClient", targets: ["OutriderAsyncHTTPClient"]),
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
        .trait(name: "GRPC", description: "Interceptors for servers and clients of gRPC Swift 2."),
        .trait(name: "AsyncHTTPClient", description: "Timed requests out of AsyncHTTPClient."),
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
        .package(url: "https://github.com/grpc/grpc-swift-2.git", from: "2.4.3"),
        .package(url: "https://github.com/grpc/grpc-swift-nio-transport.git", from: "2.9.2"),
        .package(url: "https://github.com/swift-server/async-http-client.git", from: "1.37.0"),
        .package(
            url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-distributed-tracing.git", from: "1.7.3"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.2"),
    ],
    targets: [
        // Layer 0
        .target(name: "COutriderCells", cSettings: strictC),
        .target(name: "COutriderFork", cSettings: strictC),
        .target(name: "COutriderOutput", cSettings: strictC),
        .target(name: "COutriderStack", cSettings: strictC),
        .target(name: "COutriderSymbols", cSettings: strictC),
        .systemLibrary(
            name: "CMicroHTTPD", pkgConfig: "libmicrohttpd",
            providers: [.apt(["libmicrohttpd-dev"]), .brew(["libmicrohttpd"])]),
        .systemLibrary(
            name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),
        // Layer 1
        .target(
            name: "OutriderThreading", dependencies: ["COutriderFork"], swiftSettings: strict),
        .target(name: "OutriderWire", dependencies: ["CZlib"], swiftSettings: strict),
        // Layer 2
        .target(
            name: "OutriderMetrics",
            dependencies: [
                "COutriderCells", "COutriderOutput", "OutriderThreading", "OutriderWire",
                .product(name: "CoreMetrics", package: "swift-metrics"),
            ],
            swiftSettings: strict),
        .target(
            name: "OutriderEndpoint", dependencies: ["OutriderThreading", "CMicroHTTPD"],
            swiftSettings: strict),
        .target(
            name: "OutriderProfile",
            dependencies: ["OutriderThreading", "OutriderWire", "COutriderSymbols"],
            swiftSettings: strict),
        .target(
            name: "COutriderHeap", dependencies: ["COutriderStack", "COutriderSymbols"],
            cSettings: strictC),
        .target(name: "COutriderRuntime", dependencies: ["COutriderStack"], cSettings: strictC),
        // Layer 3
        .target(
            name: "OutriderInstruments", dependencies: ["OutriderMetrics", "OutriderThreading"],
            swiftSettings: strict),
        .target(
            name: "OutriderRuntime",
            dependencies: [
                "COutriderRuntime", "COutriderStack", "OutriderMetrics", "OutriderProfile",
                "OutriderThreading",
            ],
            swiftSettings: strict),
        .target(
            name: "OutriderHTTP",
            dependencies: ["OutriderMetrics", "OutriderProfile", "OutriderThreading"],
            swiftSettings: strict),
        .target(
            name: "OutriderHeap",
            dependencies: [
                "COutriderHeap", "COutriderStack", "OutriderMetrics", "OutriderProfile",
                "OutriderThreading",
            ],
            swiftSettings: strict),
        // Layer 4
        .target(
            name: "Outrider",
            dependencies: [
                "OutriderMetrics", "OutriderRuntime", "OutriderEndpoint", "OutriderHTTP",
                "OutriderProfile", "OutriderThreading",
            ],
            swiftSettings: strict),
        .target(
            name: "OutriderTesting", dependencies: ["OutriderMetrics", "OutriderThreading"],
            swiftSettings: strict),
        // Layer 5: adapters, each behind its trait
        .target(
            name: "OutriderHummingbird",
            dependencies: [
                "OutriderHTTP", "OutriderMetrics", "OutriderThreading",
                product("Hummingbird", of: "hummingbird", with: "Hummingbird"),
                product("HTTPTypes", of: "swift-http-types", with: "Hummingbird"),
                product("NIOCore", of: "swift-nio", with: "Hummingbird"),
                product("NIOHTTP1", of: "swift-nio", with: "Hummingbird"),
            ],
            swiftSettings: strict),
        .target(
            name: "OutriderNIO",
            dependencies: [
                "OutriderHTTP", "OutriderMetrics", "OutriderRuntime", "OutriderThreading",
                product("NIOCore", of: "swift-nio", with: "NIO"),
                product("NIOPosix", of: "swift-nio", with: "NIO"),
                product("NIOHTTP1", of: "swift-nio", with: "NIO"),
                product("NIOHTTPTypes", of: "swift-nio-extras", with: "HTTPTypes"),
                product("HTTPTypes", of: "swift-http-types", with: "HTTPTypes"),
            ],
            swiftSettings: strict),
        .target(
            name: "OutriderFlyingFox",
            dependencies: [
                "OutriderHTTP",
                product("FlyingFox", of: "FlyingFox", with: "FlyingFox"),
                product("FlyingSocks", of: "FlyingFox", with: "FlyingFox"),
            ],
            swiftSettings: strict),
        .target(
            name: "OutriderGRPC",
            dependencies: [
                "OutriderHTTP", "OutriderMetrics", "OutriderThreading",
                product("GRPCCore", of: "grpc-swift-2", with: "GRPC"),
            ],
            swiftSettings: strict),
        .target(
            name: "OutriderAsyncHTTPClient",
            dependencies: [
                "OutriderHTTP", "OutriderMetrics", "OutriderThreading",
                product("AsyncHTTPClient", of: "async-http-client", with: "AsyncHTTPClient"),
                product("NIOCore", of: "swift-nio", with: "AsyncHTTPClient"),
                product("NIOHTTP1", of: "swift-nio", with: "AsyncHTTPClient"),
            ],
            swiftSettings: strict),
        .target(
            name: "OutriderServiceLifecycle",
            dependencies: [
                "Outrider", "OutriderThreading",
                product(
                    "ServiceLifecycle", of: "swift-service-lifecycle", with: "ServiceLifecycle"),
            ],
            swiftSettings: strict),
        .target(
            name: "OutriderTracing",
            dependencies: [
                product("Tracing", of: "swift-distributed-tracing", with: "Tracing")
            ],
            swiftSettings: strict),
        .target(
            name: "OutriderLogging",
            dependencies: [
                "OutriderMetrics",
                product("Logging", of: "swift-log", with: "Logging"),
            ],
            swiftSettings: strict),
        // Tests
        .executableTarget(
            name: "outrider-probe",
            dependencies: [
                "Outrider", "OutriderEndpoint", "OutriderHTTP", "OutriderInstruments",
                "OutriderMetrics", "OutriderThreading", "CTestSupport", "TestSupport",
                .product(name: "CoreMetrics", package: "swift-metrics"),
            ],
            path: "Tests/Probe",
            swiftSettings: strict),
        .executableTarget(
            name: "outrider-heap-probe",
            dependencies: ["Outrider", "OutriderHeap", "OutriderProfile"],
            path: "Tests/HeapProbe",
            swiftSettings: strict),
        .target(name: "CTestSupport", path: "Tests/CTestSupport"),
        .target(
            name: "TestSupport",
            dependencies: [
                "CTestSupport", "OutriderEndpoint", "OutriderMetrics", "OutriderTesting",
                "OutriderThreading",
            ],
            path: "Tests/TestSupport", swiftSettings: strict),
        // Separate, because they use Testing, which is not available to programs.
        .target(name: "CTestTraits", path: "Tests/CTestTraits"),
        .target(
            name: "TestTraits", dependencies: ["CTestTraits", "OutriderThreading"],
            path: "Tests/TestTraits", swiftSettings: strict),
        .testTarget(
            name: "OutriderMetricsTests",
            dependencies: [
                "OutriderMetrics", "OutriderTesting", "OutriderThreading", "OutriderWire",
                "TestSupport", "TestTraits",
                .product(name: "CoreMetrics", package: "swift-metrics"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderProfileTests",
            dependencies: ["OutriderProfile", "OutriderWire", "CTestSupport", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderEndpointTests",
            dependencies: ["OutriderEndpoint", "OutriderThreading", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderRuntimeTests",
            dependencies: [
                "CTestSupport", "OutriderRuntime", "OutriderMetrics", "OutriderTesting",
                "OutriderThreading",
                "TestSupport",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderInstrumentsTests",
            dependencies: [
                "OutriderInstruments", "OutriderMetrics", "OutriderTesting", "TestSupport",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderHTTPTests",
            dependencies: ["OutriderHTTP", "OutriderMetrics", "OutriderTesting", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderTestingTests",
            dependencies: [
                "OutriderTesting", "OutriderMetrics", "TestSupport", "TestTraits",
                .product(name: "CoreMetrics", package: "swift-metrics"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderTests",
            dependencies: [
                "Outrider", "OutriderEndpoint", "OutriderMetrics", "OutriderProfile",
                "OutriderTesting", "OutriderThreading", "TestSupport",
                .product(name: "CoreMetrics", package: "swift-metrics"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderHummingbirdTests",
            dependencies: [
                "OutriderHummingbird", "OutriderEndpoint", "OutriderHTTP", "OutriderMetrics",
                "OutriderTesting", "OutriderThreading", "TestSupport",
                .product(name: "CoreMetrics", package: "swift-metrics"),
                product("Hummingbird", of: "hummingbird", with: "Hummingbird"),
                product("HTTPTypes", of: "swift-http-types", with: "Hummingbird"),
                product("Logging", of: "swift-log", with: "Hummingbird"),
                product("NIOCore", of: "swift-nio", with: "Hummingbird"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderNIOTests",
            dependencies: [
                "OutriderNIO", "OutriderEndpoint", "OutriderHTTP", "OutriderMetrics",
                "OutriderRuntime", "OutriderTesting", "TestSupport",
                product("NIOCore", of: "swift-nio", with: "NIO"),
                product("NIOHTTP1", of: "swift-nio", with: "NIO"),
                product("NIOPosix", of: "swift-nio", with: "NIO"),
                product("HTTPTypes", of: "swift-http-types", with: "HTTPTypes"),
                product("NIOHTTPTypes", of: "swift-nio-extras", with: "HTTPTypes"),
                product("NIOHTTPTypesHTTP1", of: "swift-nio-extras", with: "HTTPTypes"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderFlyingFoxTests",
            dependencies: [
                "OutriderFlyingFox", "OutriderEndpoint", "OutriderHTTP", "OutriderMetrics",
                "OutriderTesting", "TestSupport",
                product("FlyingFox", of: "FlyingFox", with: "FlyingFox"),
                product("FlyingSocks", of: "FlyingFox", with: "FlyingFox"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderGRPCTests",
            dependencies: [
                "OutriderGRPC", "OutriderEndpoint", "OutriderMetrics", "OutriderTesting",
                "TestSupport",
                product("GRPCCore", of: "grpc-swift-2", with: "GRPC"),
                product(
                    "GRPCNIOTransportHTTP2", of: "grpc-swift-nio-transport", with: "GRPC"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderAsyncHTTPClientTests",
            dependencies: [
                "OutriderAsyncHTTPClient", "OutriderHTTP", "OutriderMetrics", "OutriderTesting",
                "TestSupport",
                product("AsyncHTTPClient", of: "async-http-client", with: "AsyncHTTPClient"),
                product("NIOCore", of: "swift-nio", with: "AsyncHTTPClient"),
                product("NIOHTTP1", of: "swift-nio", with: "AsyncHTTPClient"),
                product("NIOPosix", of: "swift-nio", with: "AsyncHTTPClient"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderServiceLifecycleTests",
            dependencies: [
                "OutriderServiceLifecycle", "Outrider", "OutriderEndpoint", "OutriderTesting",
                "TestSupport",
                product(
                    "ServiceLifecycle", of: "swift-service-lifecycle", with: "ServiceLifecycle"),
                product("Logging", of: "swift-log", with: "ServiceLifecycle"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderTracingTests",
            dependencies: [
                "OutriderTracing", "OutriderHTTP", "OutriderMetrics", "OutriderTesting",
                product("Tracing", of: "swift-distributed-tracing", with: "Tracing"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "OutriderLoggingTests",
            dependencies: [
                "OutriderLogging", "OutriderMetrics", "OutriderTesting", "TestSupport",
                product("Logging", of: "swift-log", with: "Logging"),
                product("InMemoryLogging", of: "swift-log", with: "Logging"),
            ],
            swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)
