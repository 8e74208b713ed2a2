// SPDX-License-Identifier: Apache-2.0
// Tests of the profile pages over real sockets: parameters, headers, and access.

import Outrider
import OutriderEndpoint
import OutriderMetrics
import OutriderProfile
import Synchronization
import TestSupport
import Testing

/// A source whose profile grows by one sample of 100 bytes at each snapshot.
final class CountingSource: ProfileSource, Collector {
    let kinds: [ProfileKind]
    let looks = Atomic<Int>(0)
    let starts = Atomic<Int>(0)
    let isBroken: Bool

    init(_ names: String..., isBroken: Bool = false) {
        kinds = names.map { ProfileKind($0, summary: "a test", defaultSampleType: "space") }
        self.isBroken = isBroken
    }

    func start(log: @escaping @Sendable (Bool, String) -> Void) {
        starts.add(1, ordering: .relaxed)
        log(true, "the source has started")
    }

    func snapshot(of kind: ProfileKind) throws(ProfileUnavailable) -> Profile {
        if isBroken { throw ProfileUnavailable("there is nothing to see") }
        let count = looks.add(1, ordering: .sequentiallyConsistent).newValue
        var profile = Profile(
            sampleTypes: [.init("space", "bytes")], defaultSampleType: "space",
            periodType: .init("space", "bytes"), period: 1)
        profile.add(stack: [7], values: [Int64(count) * 100])
        return profile
    }

    let name = "counting"
    private static let family = CollectedFamily.gauge("counting_looks", help: "Looks.")
    var families: [CollectedFamily] { [Self.family] }
    func collect(into samples: inout CollectedSamples) {
        samples.add(Self.family, looks.load(ordering: .relaxed))
    }
}

/// Starts an agent with these sources.
func startAgent(
    _ sources: any ProfileSource..., lines: Lines = Lines(), time: ManualTime = ManualTime()
) -> Agent {
    var configuration = isolated(log: lines.log)
    configuration.time = time
    return Agent.start(configuration, profiles: sources)
}

/// Requests a profile over `connection`, and advances the time by its span, if any.
func fetchSpan(
    _ target: String, over connection: Connection, method: String = "GET", seconds: Int?,
    _ time: ManualTime
) throws -> RawResponse {
    try connection.send("\(method) \(target) HTTP/1.1\r\nHost: localhost\r\n\r\n")
    if let seconds {
        try #require(time.awaitWaiter(in: .seconds(seconds)))
        time.advance(by: .seconds(seconds))
    }
    return try connection.response(isHead: method == "HEAD", within: 60)
}

/// A source that uses a megabyte of stack.
private final class DeepSource: ProfileSource {
    let kinds = [ProfileKind("heap", summary: "a test", defaultSampleType: "space")]

    func start(log: @escaping @Sendable (Bool, String) -> Void) {}

    func snapshot(of kind: ProfileKind) throws(ProfileUnavailable) -> Profile {
        guard Self.touch(1_024) == 1_024 else { throw ProfileUnavailable("there is no stack") }
        return Profile(
            sampleTypes: [.init("space", "bytes")], defaultSampleType: "space",
            periodType: .init("space", "bytes"), period: 1)
    }

    /// Touches at least this many KiB of stack, and counts them.
    @inline(never)
    private static func touch(_ kibibytes: Int) -> Int {
        unsafe withUnsafeTemporaryAllocation(byteCount: 1_024, alignment: 16) { room in
            unsafe room.initializeMemory(as: UInt8.self, repeating: 1)
            return kibibytes == 0 ? 0 : touch(kibibytes - 1) + Int(unsafe room[512])
        }
    }
}

@Suite struct ProfilePageTests {
    @Test(arguments: [nil, 5])
    func `a source has enough stack, with and without a span`(seconds: Int?) throws {
        let time = ManualTime()
        let agent = startAgent(DeepSource(), time: time)
        defer { agent.stop() }
        let query = seconds.map { "?seconds=\($0)" } ?? ""
        let connection = try Connection(address(of: agent))
        let answer = try fetchSpan(
            "/debug/pprof/heap\(query)", over: connection, seconds: seconds, time)
        #expect(answer.status == 200)
    }

    @Test(arguments: [
        ("", 200), ("?debug=0", 200), ("?debug=1", 200), ("?debug=2", 200), ("?gc=1", 200),
        ("?format=pprof", 200), ("?format=collapsed", 200), ("?format=flamegraph", 200),
        ("?format=text&debug=1", 200), ("?unknown=x", 200), ("?debug=1&debug=x", 200),
        ("?debug=x", 400), ("?debug=-1", 400), ("?debug=", 400), ("?format=svg", 400),
        ("?format=", 400), ("?format=pprof&debug=1", 400), ("?seconds=0", 400),
        ("?seconds=-5", 400), ("?seconds=1.5", 400), ("?seconds=x", 400), ("?seconds=", 400),
        ("?seconds=99999999999999999999", 400), ("?seconds=x&seconds=1", 400),
    ])
    func `each parameter is handled as documented`(query: String, status: Int) throws {
        let agent = startAgent(CountingSource("heap"))
        defer { agent.stop() }
        let answer = try fetch("/debug/pprof/heap\(query)", from: address(of: agent))
        #expect(answer.status == status)
        if status == 400 {
            #expect(answer.header("X-Go-Pprof") == "1")
            #expect(answer.text.hasSuffix("\n") && answer.body.count > 10)
        }
    }

    @Test(arguments: [
        ("", "application/octet-stream", "attachment; filename=\"heap\""),
        ("?seconds=7", "application/octet-stream", "attachment; filename=\"heap-delta\""),
        ("?debug=1", "text/plain; charset=utf-8", nil),
        ("?format=collapsed", "text/plain; charset=utf-8", nil),
        ("?format=flamegraph", "text/html; charset=utf-8", nil),
    ])
    func `every format has its headers, and none a Content-Encoding`(
        query: String, type: String, disposition: String?
    ) throws {
        let time = ManualTime()
        let agent = startAgent(CountingSource("heap"), time: time)
        defer { agent.stop() }
        let seconds = query.contains("seconds") ? 7 : nil
        let connection = try Connection(address(of: agent))
        let answer = try fetchSpan(
            "/debug/pprof/heap\(query)", over: connection, seconds: seconds, time)
        #expect(answer.header("Content-Type") == type)
        #expect(answer.header("Content-Disposition") == disposition)
        #expect(answer.header("Content-Encoding") == nil)
        #expect(answer.header("Cache-Control") == "no-store")
        #expect(answer.header("X-Content-Type-Options") == "nosniff")
        let policy = answer.header("Content-Security-Policy") ?? ""
        #expect(policy.hasPrefix("default-src 'none'"))
        #expect(policy.contains("unsafe-inline") == query.contains("flamegraph"))
        let head = try fetchSpan(
            "/debug/pprof/heap\(query)", over: connection, method: "HEAD", seconds: seconds, time)
        #expect(head.status == 200 && head.body.isEmpty)
    }

    @Test func `the index lists the existing profiles, and others are 404`() throws {
        let agent = startAgent(CountingSource("heap", "allocs"))
        defer { agent.stop() }
        for path in ["/debug/pprof/", "/debug/pprof"] {
            let index = try fetch(path, from: address(of: agent))
            #expect(index.status == 200)
            #expect(index.text.contains("/debug/pprof/heap?format=flamegraph"))
            #expect(index.text.contains("/debug/pprof/allocs?format=pprof"))
        }
        for name in ["profile", "goroutine", "mutex", "block", "heap/", "cmdline"] {
            #expect(try fetch("/debug/pprof/\(name)", from: address(of: agent)).status == 404)
        }
        #expect(try fetch("/debug", from: address(of: agent)).text.contains("/debug/pprof/heap"))
    }

    @Test func `a request with a foreign host name is refused`() throws {
        let agent = startAgent(CountingSource("heap"))
        defer { agent.stop() }
        let connection = try Connection(address(of: agent))
        try connection.send("GET /debug/pprof/heap HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        #expect(try connection.response().status == 403)
    }

    @Test func `a source is started once, and its metrics are in the scrape`() throws {
        let (source, lines) = (CountingSource("heap"), Lines())
        let agent = startAgent(source, lines: lines)
        defer { agent.stop() }
        #expect(source.starts.load(ordering: .relaxed) == 1)
        #expect(lines.all.contains("error: the source has started"))
        #expect(
            try fetch("/metrics", from: address(of: agent)).text.contains("\ncounting_looks 0\n"))
    }

    @Test func `of two profiles with one name, the first is served and the other is logged`() throws
    {
        let lines = Lines()
        let agent = startAgent(
            CountingSource("heap"), CountingSource("heap", "Bad Name"), lines: lines)
        defer { agent.stop() }
        #expect(try fetch("/debug/pprof/heap", from: address(of: agent)).status == 200)
        #expect(
            lines.all.contains("error: two sources have a profile heap; only the first is served"))
        let text = agent.registry.text()
        #expect(text.contains(#"outrider_start_failures_total{reason="profile_twice"} 1"#))
        #expect(text.contains(#"outrider_start_failures_total{reason="profile_name"} 1"#))
    }

    @Test func `an unavailable profile gets 503 with the reason`() throws {
        let agent = startAgent(CountingSource("heap", isBroken: true))
        defer { agent.stop() }
        for query in ["", "?seconds=1"] {
            let answer = try fetch("/debug/pprof/heap\(query)", from: address(of: agent))
            #expect(answer.status == 503 && answer.text == "there is nothing to see\n")
            #expect(answer.header("Retry-After") != nil)
        }
    }

    @Test func `a span shows the difference between two snapshots`() throws {
        let time = ManualTime()
        let agent = startAgent(CountingSource("heap"), time: time)
        defer { agent.stop() }
        let answer = try fetchSpan(
            "/debug/pprof/heap?seconds=7&debug=1", over: Connection(address(of: agent)), seconds: 7,
            time)
        #expect(answer.text.contains("\n100 @ 0x7\n"), "\(answer.text)")
    }

    @Test func `a span takes its time in real time too`() throws {
        let agent = Agent.start(isolated(), profiles: [CountingSource("heap")])
        defer { agent.stop() }
        let start = ContinuousClock.now
        let answer = try fetch("/debug/pprof/heap?seconds=1&debug=1", from: address(of: agent))
        #expect(answer.text.contains("\n100 @ 0x7\n"), "\(answer.text)")
        #expect(ContinuousClock.now - start >= .seconds(1))
    }
}
