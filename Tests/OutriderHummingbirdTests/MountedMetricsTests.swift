// SPDX-License-Identifier: Apache-2.0
// Tests of `/metrics` in the service's own router.

#if Hummingbird
    import Hummingbird
    import OutriderEndpoint
    import OutriderHTTP
    import OutriderHummingbird
    import OutriderMetrics
    import OutriderTesting
    import OutriderThreading
    import Synchronization
    import TestSupport
    import Testing

    @Suite struct MountedMetricsTests {
        private static func scrape(
            _ target: String, _ address: ListenAddress, fields: String = "", method: String = "GET"
        ) async throws -> RawResponse {
            try await onOwnThread {
                let connection = try Connection(address)
                try connection.send("\(method) \(target) HTTP/1.1\r\nHost: a\r\n\(fields)\r\n")
                return try connection.response(isHead: method == "HEAD")
            }
        }

        @Test func `the page shows the registry in the text format`() async throws {
            let service = Service()
            service.registry.counter("orders_placed", help: "Orders.").increment(by: 7)
            let router = service.router { $0.addMetrics(registry: service.registry) }
            try await service.serve(router) { address, _ in
                let answer = try await Self.scrape("/metrics", address)
                let type = try #require(answer.header("Content-Type"))
                #expect(type == "text/plain; version=0.0.4; charset=utf-8")
                #expect(answer.header("Cache-Control") == "no-store")
                let exposition = try Exposition(parsing: answer.body, contentType: type)
                try exposition.expect("orders_placed_total", 7)
            }
        }

        @Test func `a scrape on an excluded path does not count itself in flight`() async throws {
            let service = Service { $0.excludedRoutes = ["/metrics"] }
            let router = service.router { $0.addMetrics(registry: service.registry) }
            try await service.serve(router) { address, _ in
                let answer = try await Self.scrape("/metrics", address)
                let type = try #require(answer.header("Content-Type"))
                let exposition = try Exposition(parsing: answer.body, contentType: type)
                let active = exposition.families.flatMap(\.samples)
                    .filter { $0.name == "http_server_active_requests" }
                #expect(active.map(\.value).reduce(0, +) == 0)
            }
        }

        @Test func `the page negotiates OpenMetrics and gzip`() async throws {
            let service = Service()
            for number in 0..<100 {
                service.registry.gauge("gauge_\(number)", help: "A gauge of many.").set(1)
            }
            let router = service.router { $0.addMetrics(registry: service.registry) }
            try await service.serve(router) { address, _ in
                let plain = try await Self.scrape(
                    "/metrics", address, fields: "Accept: application/openmetrics-text\r\n")
                let type = try #require(plain.header("Content-Type"))
                #expect(type == "application/openmetrics-text; version=1.0.0; charset=utf-8")
                try Exposition(parsing: plain.body, contentType: type).expect("gauge_99", 1)
                let packed = try await Self.scrape(
                    "/metrics", address, fields: "Accept-Encoding: gzip\r\n")
                #expect(packed.header("Content-Encoding") == "gzip")
                #expect(packed.body.starts(with: [0x1F, 0x8B]))
                #expect(packed.body.count < plain.body.count / 2)
            }
        }

        @Test func `HEAD has the headers of GET and no body`() async throws {
            let service = Service()
            let router = service.router {
                $0.addMetrics(registry: Registry(hasOwnMetrics: false), path: "/internal/metrics")
            }
            try await service.serve(router) { address, _ in
                let head = try await Self.scrape("/internal/metrics", address, method: "HEAD")
                let get = try await Self.scrape("/internal/metrics", address)
                #expect(head.status == 200)
                #expect(head.header("Content-Type") == get.header("Content-Type"))
                #expect(head.header("Content-Length") == "\(get.body.count)")
            }
        }

        @Test func `a HEAD request does not expire idle series, a GET does`() async throws {
            let clock = ManualClock()
            let registry = Registry(hasOwnMetrics: false, clock: clock)
            let limit = SeriesLimit(idleTime: .seconds(2))
            registry.counter("hits", help: "Hits.", labels: ["n"], limit: limit).with("a")
                .increment()
            let service = Service()
            let router = service.router { $0.addMetrics(registry: registry) }
            try await service.serve(router) { address, _ in
                for _ in 0..<3 {
                    _ = try await Self.scrape("/metrics", address, method: "HEAD")
                    clock.advance(by: .seconds(2))
                }
                #expect(try await Self.scrape("/metrics", address).text.contains("hits_total"))
                let isGone = try await onOwnThread {
                    try eventually {
                        clock.advance(by: .seconds(2))
                        return try !fetch("/metrics", from: address).text.contains("hits_total")
                    }
                }
                #expect(isGone)
            }
        }

        @Test(arguments: ["name[]=", "name%5B%5D=", "name%5b%5d="])
        func `a query selects families by name`(name: String) async throws {
            let registry = Registry(hasOwnMetrics: false)
            for name in ["a", "b", "c"] { registry.gauge(name, help: "A gauge.").set(1) }
            let service = Service()
            let router = service.router { $0.addMetrics(registry: registry) }
            try await service.serve(router) { address, _ in
                let answer = try await Self.scrape("/metrics?\(name)a&x&\(name)c", address)
                let exposition = try Exposition(parsing: answer.text, as: .text)
                #expect(exposition.families.map(\.name).sorted() == ["a", "c"])
            }
        }

        @Test func `slow collectors do not block the service, and concurrent scrapes are bounded`()
            async throws
        {
            let service = Service()
            let registry = Registry(hasOwnMetrics: false)
            let entered = Atomic<Int>(0)
            let mayGo = Latch()
            registry.gauge("slow", help: "Slow.") {
                entered.add(1, ordering: .relaxed)
                _ = mayGo.wait(for: .seconds(120))
                return 1
            }
            let router = service.router {
                $0.addMetrics(registry: registry)
                $0.get("/orders") { _, _ in "fine" }
            }
            try await service.serve(router) { address, _ in
                let scrapes = (0..<16).map { _ in
                    Task { try await Self.scrape("/metrics", address).status }
                }
                let refused = try await onOwnThread {
                    #expect(
                        eventually { service.active == 16 && entered.load(ordering: .relaxed) > 0 })
                    #expect(try fetch("/orders", from: address).text == "fine")
                    return try fetch("/metrics", from: address)
                }
                #expect(refused.status == 503)
                #expect(refused.header("Retry-After") == "1")
                mayGo.open()
                for scrape in scrapes { #expect(try await scrape.value == 200) }
            }
        }
    }
#endif
