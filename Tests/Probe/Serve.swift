// SPDX-License-Identifier: Apache-2.0
// An agent with large, slow and stuck pages, for tests of client behavior.
//
// Prints its address, and on a second line the address of its listener for /debug, if any. Then it
// executes its input, one command per line:
//
//     record        records metrics, with an exemplar             ok
//     drain         marks the agent as draining                   ok
//     stop          stops it                                      stopped SECONDS
//     holdings      prints the process's resources                FDS THREADS RESIDENT_BYTES
//     second        starts another agent                          its URL
//     stop-second   stops that one                                stopped
//     fork          forks a child that holds all descriptors      its pid
//     close-descriptors FIRST LAST   closes these, and opens the service's own sockets   closed
//     intact        the number of these that hold the service's message   COUNT of COUNT
//     fill COUNT BYTES   observes this many series, with label values of this many bytes   ok
//     exit          ends the process immediately
//
// PROBE_PATIENCE=N waits N times as long for what ends by itself, such as requests during a stop.
// PROBE_PAGE_SECONDS is the duration of the slow and the stuck page, 20 by default.

import CTestSupport
import Foundation
import Outrider
import OutriderEndpoint
import OutriderThreading
import TestSupport

enum Serve {
    static func run() {
        let registry = Registry()
        let metrics = ServedMetrics(in: registry)
        let agent = Agent.start(configuration(registry))
        say(spelled(agent.address))
        say(spelled(agent.debugAddress))
        obey(agent, metrics)
    }

    private static func spelled(_ address: ListenAddress?) -> String {
        address.map { $0.url ?? "\($0)" } ?? ""
    }

    private static func say(_ text: String) {
        FileHandle.standardOutput.write(Data("\(text)\n".utf8))
    }

    private static func configuration(_ registry: Registry) -> Agent.Configuration {
        let environment = ProcessInfo.processInfo.environment
        func seconds(_ name: String, _ change: (Duration) -> Void) {
            if let seconds = environment[name].flatMap(Double.init) { change(.seconds(seconds)) }
        }
        var configuration = Agent.Configuration()
        if environment["OUTRIDER_ADDRESS"] == nil { configuration.address = .loopback(port: 0) }
        configuration.registry = registry
        seconds("PROBE_HEADER_SECONDS") { configuration.limits.headerTimeout = $0 }
        seconds("PROBE_IDLE_SECONDS") { configuration.limits.idleTimeout = $0 }
        seconds("PROBE_ANSWER_SECONDS") { configuration.limits.responseTimeout = $0 }
        let hosts = environment["PROBE_HOSTS"] ?? ""
        configuration.debugHostNames = hosts.split(separator: ",").map(String.init)
        let size = environment["PROBE_LARGE_BYTES"].flatMap { Int($0) } ?? 20 << 20
        let pageSeconds = environment["PROBE_PAGE_SECONDS"].flatMap(UInt32.init) ?? 20
        configuration.pages = [
            LargePage(size: size), SlowPage(seconds: pageSeconds), StuckPage(seconds: pageSeconds),
            OperatorsPage(),
        ]
        if let patience = environment["PROBE_PATIENCE"].flatMap(Int.init) {
            configuration.time = PatientTime(factor: patience)
        }
        return configuration
    }

    private static func obey(_ agent: Agent, _ metrics: ServedMetrics) {
        var second: Agent?
        var own: OwnSockets?
        while let line = readLine() {
            let words = line.split(separator: " ")
            switch words.first ?? "" {
            case "record":
                metrics.record()
                say("ok")
            case "drain":
                agent.markDraining()
                say("ok")
            case "stop":
                let start = ContinuousClock.now
                agent.stop()
                say("stopped \((ContinuousClock.now - start) / .seconds(1))")
            case "holdings":
                let now = Holdings.now()
                say("\(now.descriptors) \(now.threads) \(residentBytes())")
            case "second":
                var configuration = Agent.Configuration(address: .loopback(port: 0))
                configuration.registry = Registry()
                second = Agent.start(configuration)
                say(second?.address?.url ?? "")
            case "stop-second":
                second?.stop()
                say("stopped")
            case "fork":
                var ends: [Int32] = [-1, -1]
                let failed = unsafe pipe(&ends) != 0
                say(failed ? "-1" : "\(test_fork_waiting_child(ends[0], ends[1]))")
            case "close-descriptors":
                let numbers = words.dropFirst().compactMap { Int32($0) }
                for number in numbers[0]...numbers[1] { close(number) }
                own = OwnSockets(count: 16)
                say("closed")
            case "intact":
                say("\(own?.intact ?? 0) of \(own?.count ?? 0)")
            case "fill":
                let numbers = words.dropFirst().compactMap { Int($0) }
                metrics.fill(numbers[0], bytes: numbers[1])
                say("ok")
            case "exit": exit(0)
            default: say("unknown: \(line)")
            }
        }
        agent.stop()
        second?.stop()
    }

    static func residentBytes() -> Int {
        let fields = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?
            .split(separator: " ")
        return (fields?.dropFirst().first.flatMap { Int($0) } ?? 0) * Int(getpagesize())
    }
}

/// The metrics that `serve` exposes in addition to the agent's.
private struct ServedMetrics {
    private let requests: Family<Counter>
    private let durations: Histogram
    private let long: Family<Histogram>
    /// With names that not every scraper accepts, if OUTRIDER_METRIC_NAMES allows them.
    private let sizes: Family<Histogram>?

    init(in registry: Registry) {
        requests = registry.counter(
            "probe_requests_total", help: "Requests of a \"test\".", labels: ["route"])
        durations = registry.histogram(
            "probe_duration_seconds", help: "Time that requests took.", buckets: [0.1, 0.25, 1])
        long = registry.histogram(
            "probe_long_seconds", help: "With label values of any length.", labels: ["value"],
            buckets: [0.1, 0.25, 1])
        let names = ProcessInfo.processInfo.environment["OUTRIDER_METRIC_NAMES"]
        sizes =
            names == "utf8"
            ? registry.histogram(
                "probe.größe.bytes", help: "Sizes of requests.", labels: ["http.route", "plain"],
                buckets: [10, 100]) : nil
        registry.info("probe", help: "The probe.", ["kind": "serve"])
        let count = ProcessInfo.processInfo.environment["PROBE_SERIES"].flatMap { Int($0) } ?? 0
        if count > 0 {
            let filler = registry.gauge("probe_filler", help: "Fills the page.", labels: ["n"])
            for number in 0..<count { filler.with("\(number)").set(number) }
        }
        record(.trace("0af7651916cd43dd8448eb211c80319c"))
    }

    func fill(_ count: Int, bytes: Int) {
        let rest = String(repeating: "x", count: max(0, bytes - 8))
        for number in 0..<count { long.with("\(number)-\(rest)").observe(0.2) }
    }

    /// A trace identifier: 32 hexadecimal digits.
    static func anyTrace() -> String {
        let halves = (0..<2).map { _ in String(UInt64.random(in: 1 ... .max), radix: 16) }
        return halves.map { String(repeating: "0", count: 16 - $0.count) + $0 }.joined()
    }

    func record(_ trace: Exemplar = .trace(Self.anyTrace())) {
        requests.with("/a").increment(exemplar: trace)
        requests.with("/b").increment()
        durations.observe(0.05, exemplar: trace)
        durations.observe(0.2, exemplar: .trace("4bf92f3577b34da6a3ce929d0e0e4736"))
        durations.observe(3, exemplar: trace)
        sizes?.with("/a \"b\"", "x").observe(50)
    }
}

/// The system's time, with longer waits for latches: on a busy machine, the thread that opens one
/// may be late.
private struct PatientTime: TimeSource {
    let factor: Int

    var now: ContinuousClock.Instant { .now }

    func wait(for latch: Latch, until moment: ContinuousClock.Instant) -> Bool {
        SystemTime().wait(for: latch, until: now + (moment - now) * factor)
    }

    func poll(_ descriptors: inout [pollfd], until moment: ContinuousClock.Instant) -> Int32 {
        SystemTime().poll(&descriptors, until: moment)
    }
}

private struct LargePage: Page {
    let path = "/large"
    let summary = "a large body"
    private let body: [UInt8]

    init(size: Int) {
        body = Array(repeating: UInt8(ascii: "x"), count: size)
    }

    func respond(to request: Request) -> Response {
        Response(status: 200, headers: [("Content-Type", "text/plain")], body: body)
    }
}

private struct SlowPage: Page {
    let path = "/slow"
    let summary = "answers after a while"
    let seconds: UInt32

    func respond(to request: Request) -> Response {
        switch request.pause(for: .seconds(Int(seconds))) {
        case .elapsed: .text("slow\n")
        case .clientDisconnected: .text("nobody reads this\n")
        case .stopping: .unavailable("The agent is stopping.")
        }
    }
}

private struct StuckPage: Page {
    let path = "/stuck"
    let summary = "blocks for a while, whatever happens"
    let seconds: UInt32

    func respond(to request: Request) -> Response {
        sleep(seconds)
        return .text("stuck\n")
    }
}

private struct OperatorsPage: Page {
    let path = "/debug/probe"
    let summary = "a page for operators"

    func respond(to request: Request) -> Response { .text("debug\n") }
}
