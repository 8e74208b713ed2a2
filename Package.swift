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

extension Target {
    /// The tests of a module.
    static func tests(of module: String, uses dependencies: [Target.Dependency]) -> Target {
        .testTarget(name: module + "Tests", dependencies: dependencies)
    }
}

let package = Package(
    name: "outrider",
    platforms: [.macOS(.v26)],
    // Linking OutriderHeap replaces malloc.
    products: [
        "Outrider", "OutriderMetrics", "OutriderRuntime", "OutriderEndpoint", "OutriderHTTP",
        "OutriderInstruments", "OutriderProfile", "OutriderHeap", "OutriderTesting",
        "OutriderHummingbird", "OutriderNIO", "OutriderFlyingFox", "OutriderGRPC",
        "OutriderAsyncHTTPClient", "OutriderServiceLifecycle", "OutriderTracing",
        "OutriderLogging",
    ].map { .library(name: $0, targets: [$0]) },
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
        .target(name: "COutriderCells"),
        .target(name: "COutriderFork"),
        .target(name: "COutriderOutput"),
        .target(name: "COutriderStack"),
        .target(name: "COutriderSymbols"),
        .systemLibrary(
            name: "CMicroHTTPD", pkgConfig: "libmicrohttpd",
            providers: [.apt(["libmicrohttpd-dev"]), .brew(["libmicrohttpd"])]),
        .systemLibrary(
            name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),
        // Layer 1
        .target(
            name: "OutriderThreading", dependencies: ["COutriderFork"]),
        .target(name: "OutriderWire", dependencies: ["CZlib"]),
        // Layer 2
        .target(
            name: "OutriderMetrics",
            dependencies: [
                "COutriderCells", "COutriderOutput", "OutriderThreading", "OutriderWire",
                .product(name: "CoreMetrics", package: "swift-metrics"),
            ]),
        .target(
            name: "OutriderEndpoint", dependencies: ["OutriderThreading", "CMicroHTTPD"]),
        .target(
            name: "OutriderProfile",
            dependencies: ["OutriderThreading", "OutriderWire", "COutriderSymbols"]),
        .target(
            name: "COutriderHeap", dependencies: ["COutriderStack", "COutriderSymbols"]),
        .target(name: "COutriderRuntime", dependencies: ["COutriderStack"]),
        // Layer 3
        .target(
            name: "OutriderInstruments", dependencies: ["OutriderMetrics", "OutriderThreading"]),
        .target(
            name: "OutriderRuntime",
            dependencies: [
                "COutriderRuntime", "COutriderStack", "OutriderMetrics", "OutriderProfile",
                "OutriderThreading",
            ]),
        .target(
            name: "OutriderHTTP",
            dependencies: ["OutriderMetrics", "OutriderProfile", "OutriderThreading"]),
        .target(
            name: "OutriderHeap",
            dependencies: [
                "COutriderHeap", "COutriderStack", "OutriderMetrics", "OutriderProfile",
                "OutriderThreading",
            ]),
        // Layer 4
        .target(
            name: "Outrider",
            dependencies: [
                "OutriderMetrics", "OutriderRuntime", "OutriderEndpoint", "OutriderHTTP",
                "OutriderProfile", "OutriderThreading",
            ]),
        .target(
            name: "OutriderTesting", dependencies: ["OutriderMetrics", "OutriderThreading"]),
        // Layer 5: adapters, each behind its trait
        .target(
            name: "OutriderHummingbird",
            dependencies: [
                "OutriderHTTP", "OutriderMetrics", "OutriderThreading",
                product("Hummingbird", of: "hummingbird", with: "Hummingbird"),
                product("HTTPTypes", of: "swift-http-types", with: "Hummingbird"),
                product("NIOCore", of: "swift-nio", with: "Hummingbird"),
                product("NIOHTTP1", of: "swift-nio", with: "Hummingbird"),
            ]),
        .target(
            name: "OutriderNIO",
            dependencies: [
                "OutriderHTTP", "OutriderMetrics", "OutriderRuntime", "OutriderThreading",
                product("NIOCore", of: "swift-nio", with: "NIO"),
                product("NIOPosix", of: "swift-nio", with: "NIO"),
                product("NIOHTTP1", of: "swift-nio", with: "NIO"),
                product("NIOHTTPTypes", of: "swift-nio-extras", with: "HTTPTypes"),
                product("HTTPTypes", of: "swift-http-types", with: "HTTPTypes"),
            ]),
        .target(
            name: "OutriderFlyingFox",
            dependencies: [
                "OutriderHTTP",
                product("FlyingFox", of: "FlyingFox", with: "FlyingFox"),
                product("FlyingSocks", of: "FlyingFox", with: "FlyingFox"),
            ]),
        .target(
            name: "OutriderGRPC",
            dependencies: [
                "OutriderHTTP", "OutriderMetrics", "OutriderThreading",
                product("GRPCCore", of: "grpc-swift-2", with: "GRPC"),
            ]),
        .target(
            name: "OutriderAsyncHTTPClient",
            dependencies: [
                "OutriderHTTP", "OutriderMetrics", "OutriderThreading",
                product("AsyncHTTPClient", of: "async-http-client", with: "AsyncHTTPClient"),
                product("NIOCore", of: "swift-nio", with: "AsyncHTTPClient"),
                product("NIOHTTP1", of: "swift-nio", with: "AsyncHTTPClient"),
            ]),
        .target(
            name: "OutriderServiceLifecycle",
            dependencies: [
                "Outrider", "OutriderThreading",
                product(
                    "ServiceLifecycle", of: "swift-service-lifecycle", with: "ServiceLifecycle"),
            ]),
        .target(
            name: "OutriderTracing",
            dependencies: [
                product("Tracing", of: "swift-distributed-tracing", with: "Tracing")
            ]),
        .target(
            name: "OutriderLogging",
            dependencies: [
                "OutriderMetrics",
                product("Logging", of: "swift-log", with: "Logging"),
            ]),
        // Tests
        .executableTarget(
            name: "outrider-probe",
            dependencies: [
                "Outrider", "OutriderEndpoint", "OutriderHTTP", "OutriderInstruments",
                "OutriderMetrics", "OutriderThreading", "CTestSupport", "TestSupport",
                .product(name: "CoreMetrics", package: "swift-metrics"),
            ],
            path: "Tests/Probe"),
        .executableTarget(
            name: "outrider-heap-probe",
            dependencies: ["Outrider", "OutriderHeap", "OutriderProfile"],
            path: "Tests/HeapProbe"),
        .target(name: "CTestSupport", path: "Tests/CTestSupport"),
        .target(
            name: "TestSupport",
            dependencies: [
                "CTestSupport", "OutriderEndpoint", "OutriderMetrics", "OutriderTesting",
                "OutriderThreading",
            ],
            path: "Tests/TestSupport"),
        // Separate, because they use Testing, which is not available to programs.
        .target(name: "CTestTraits", path: "Tests/CTestTraits"),
        .target(
            name: "TestTraits", dependencies: ["CTestTraits", "OutriderThreading"],
            path: "Tests/TestTraits"),
        .tests(
            of: "OutriderMetrics",
            uses: [
                "OutriderMetrics", "OutriderTesting", "OutriderThreading", "OutriderWire",
                "TestSupport", "TestTraits",
                .product(name: "CoreMetrics", package: "swift-metrics"),
            ]),
        .tests(
            of: "OutriderProfile",
            uses: ["OutriderProfile", "OutriderWire", "CTestSupport", "TestSupport"]),
        .tests(
            of: "OutriderEndpoint",
            uses: ["OutriderEndpoint", "OutriderThreading", "TestSupport"]),
        .tests(
            of: "OutriderRuntime",
            uses: [
                "CTestSupport", "OutriderRuntime", "OutriderMetrics", "OutriderTesting",
                "OutriderThreading",
                "TestSupport",
            ]),
        .tests(
            of: "OutriderInstruments",
            uses: [
                "OutriderInstruments", "OutriderMetrics", "OutriderTesting", "TestSupport",
            ]),
        .tests(
            of: "OutriderHTTP",
            uses: ["OutriderHTTP", "OutriderMetrics", "OutriderTesting", "TestSupport"]),
        .tests(
            of: "OutriderTesting",
            uses: [
                "OutriderTesting", "OutriderMetrics", "TestSupport", "TestTraits",
                .product(name: "CoreMetrics", package: "swift-metrics"),
            ]),
        .tests(
            of: "Outrider",
            uses: [
                "Outrider", "OutriderEndpoint", "OutriderMetrics", "OutriderProfile",
                "OutriderTesting", "OutriderThreading", "TestSupport",
                .product(name: "CoreMetrics", package: "swift-metrics"),
            ]),
        .tests(
            of: "OutriderHummingbird",
            uses: [
                "OutriderHummingbird", "OutriderEndpoint", "OutriderHTTP", "OutriderMetrics",
                "OutriderTesting", "OutriderThreading", "TestSupport",
                .product(name: "CoreMetrics", package: "swift-metrics"),
                product("Hummingbird", of: "hummingbird", with: "Hummingbird"),
                product("HTTPTypes", of: "swift-http-types", with: "Hummingbird"),
                product("Logging", of: "swift-log", with: "Hummingbird"),
                product("NIOCore", of: "swift-nio", with: "Hummingbird"),
            ]),
        .tests(
            of: "OutriderNIO",
            uses: [
                "OutriderNIO", "OutriderEndpoint", "OutriderHTTP", "OutriderMetrics",
                "OutriderRuntime", "OutriderTesting", "TestSupport",
                product("NIOCore", of: "swift-nio", with: "NIO"),
                product("NIOHTTP1", of: "swift-nio", with: "NIO"),
                product("NIOPosix", of: "swift-nio", with: "NIO"),
                product("HTTPTypes", of: "swift-http-types", with: "HTTPTypes"),
                product("NIOHTTPTypes", of: "swift-nio-extras", with: "HTTPTypes"),
                product("NIOHTTPTypesHTTP1", of: "swift-nio-extras", with: "HTTPTypes"),
            ]),
        .tests(
            of: "OutriderFlyingFox",
            uses: [
                "OutriderFlyingFox", "OutriderEndpoint", "OutriderHTTP", "OutriderMetrics",
                "OutriderTesting", "TestSupport",
                product("FlyingFox", of: "FlyingFox", with: "FlyingFox"),
                product("FlyingSocks", of: "FlyingFox", with: "FlyingFox"),
            ]),
        .tests(
            of: "OutriderGRPC",
            uses: [
                "OutriderGRPC", "OutriderEndpoint", "OutriderMetrics", "OutriderTesting",
                "TestSupport",
                product("GRPCCore", of: "grpc-swift-2", with: "GRPC"),
                product(
                    "GRPCNIOTransportHTTP2", of: "grpc-swift-nio-transport", with: "GRPC"),
            ]),
        .tests(
            of: "OutriderAsyncHTTPClient",
            uses: [
                "OutriderAsyncHTTPClient", "OutriderHTTP", "OutriderMetrics", "OutriderTesting",
                "TestSupport",
                product("AsyncHTTPClient", of: "async-http-client", with: "AsyncHTTPClient"),
                product("NIOCore", of: "swift-nio", with: "AsyncHTTPClient"),
                product("NIOHTTP1", of: "swift-nio", with: "AsyncHTTPClient"),
                product("NIOPosix", of: "swift-nio", with: "AsyncHTTPClient"),
            ]),
        .tests(
            of: "OutriderServiceLifecycle",
            uses: [
                "OutriderServiceLifecycle", "Outrider", "OutriderEndpoint", "OutriderTesting",
                "TestSupport",
                product(
                    "ServiceLifecycle", of: "swift-service-lifecycle", with: "ServiceLifecycle"),
                product("Logging", of: "swift-log", with: "ServiceLifecycle"),
            ]),
        .tests(
            of: "OutriderTracing",
            uses: [
                "OutriderTracing", "OutriderHTTP", "OutriderMetrics", "OutriderTesting",
                product("Tracing", of: "swift-distributed-tracing", with: "Tracing"),
            ]),
        .tests(
            of: "OutriderLogging",
            uses: [
                "OutriderLogging", "OutriderMetrics", "OutriderTesting", "TestSupport",
                product("Logging", of: "swift-log", with: "Logging"),
                product("InMemoryLogging", of: "swift-log", with: "Logging"),
            ]),
    ],
    swiftLanguageModes: [.v6]
)

for target in package.targets where target.type != .system {
    if target.name.hasPrefix("COutrider") {
        target.cSettings = strictC
    } else if !target.name.hasPrefix("C") {
        target.swiftSettings = strict
    }
}
