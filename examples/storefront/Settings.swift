// SPDX-License-Identifier: Apache-2.0
// Settings from the environment.

import Foundation

struct Settings: Sendable {
    /// STOREFRONT_HOST: an address of this machine; loopback by default.
    var host = "127.0.0.1"
    /// STOREFRONT_PORT; 0 chooses a free one.
    var port = 8_080
    /// REDIS_URL, as `redis://host:port`; nil keeps the shared state in this process.
    var redis: RedisAddress?
    /// STOREFRONT_DATABASE: a file; nil for a temporary one that is deleted at exit.
    var database: String?
    /// SECONDS_TO_RUN; nil runs for ever.
    var seconds: Double?
    /// DRAIN_SECONDS: how long `/readyz` fails before the server stops accepting, for load
    /// balancers.
    var drainDelay = Duration.zero
    /// LAST_SCRAPE_SECONDS: how long the agent stays after all services, for one more scrape.
    var lastScrape = Duration.zero
    /// RATE_LIMIT: orders that one customer may place in a second.
    var rateLimit = 100
    /// STOREFRONT_FAULT: the fault to inject; see docs/diagnose.md.
    var fault: Fault?

    init(_ variables: [String: String] = ProcessInfo.processInfo.environment) throws {
        func seconds(_ name: String) throws -> Double? {
            guard let text = variables[name] else { return nil }
            guard let value = Double(text), value >= 0 else { throw Invalid(name, text) }
            return value
        }
        func count(_ name: String, _ range: ClosedRange<Int>) throws -> Int? {
            guard let text = variables[name] else { return nil }
            guard let value = Int(text), range.contains(value) else { throw Invalid(name, text) }
            return value
        }
        host = variables["STOREFRONT_HOST"] ?? host
        port = try count("STOREFRONT_PORT", 0...65_535) ?? port
        rateLimit = try count("RATE_LIMIT", 1...1_000_000) ?? rateLimit
        if let text = variables["REDIS_URL"], !text.isEmpty {
            guard let address = RedisAddress(text) else { throw Invalid("REDIS_URL", text) }
            redis = address
        }
        if let text = variables["STOREFRONT_FAULT"], !text.isEmpty {
            guard let named = Fault(rawValue: text) else { throw Invalid("STOREFRONT_FAULT", text) }
            fault = named
        }
        database = variables["STOREFRONT_DATABASE"]
        self.seconds = try seconds("SECONDS_TO_RUN")
        drainDelay = .seconds(try seconds("DRAIN_SECONDS") ?? 0)
        lastScrape = .seconds(try seconds("LAST_SCRAPE_SECONDS") ?? 0)
    }

    struct Invalid: Error, CustomStringConvertible {
        let description: String

        init(_ name: String, _ text: String) {
            description = "invalid value \"\(text)\" for \(name)"
        }
    }
}
