// SPDX-License-Identifier: Apache-2.0
// The shared state in Redis.

import Foundation
import Synchronization

struct RedisState: SharedState {
    /// The channel on which the keys of changed orders are published.
    static let invalidations = "storefront:invalidated"

    let redis: RedisClient

    func cached(_ key: String) async throws -> String? {
        try await redis.call("GET", key).string
    }

    func cache(_ text: String, as key: String, seconds: Int) async throws {
        try await redis.call("SET", key, text, "EX", "\(seconds)")
    }

    /// A sliding window: the times of the last second's orders, in a sorted set.
    ///
    /// A script, so that instances do not count concurrently. It uses Redis's clock, so the
    /// instances' clocks need not agree.
    private static let window = """
        local time = redis.call('TIME')
        local now = time[1] * 1000000 + time[2]
        redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, now - 1000000)
        if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
        redis.call('ZADD', KEYS[1], now, now .. ':' .. ARGV[2])
        redis.call('PEXPIRE', KEYS[1], 1000)
        return 1
        """

    func permit(_ customer: String, limit: Int) async throws -> Bool {
        let one = "\(UInt64.random(in: .min ... .max))"
        let answer = try await redis.call(
            "EVAL", Self.window, "1", "limit:\(customer)", "\(limit)", one)
        guard let allowed = answer.integer else { throw RedisError.unexpected }
        return allowed == 1
    }

    func lock(_ name: String, owner: String, milliseconds: Int) async throws -> Bool {
        try await redis.call("SET", "lock:\(name)", owner, "NX", "PX", "\(milliseconds)")
            == .text("OK")
    }

    /// Deletes the lock if it still belongs to the owner: it may have expired and have a new owner.
    private static let release = """
        if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
        return 0
        """

    func unlock(_ name: String, owner: String) async throws -> Bool {
        try await redis.call("EVAL", Self.release, "1", "lock:\(name)", owner).integer == 1
    }

    func invalidate(_ key: String) async throws {
        try await redis.call("DEL", key)
        try await redis.call("PUBLISH", Self.invalidations, key)
    }
}
