// SPDX-License-Identifier: Apache-2.0
// An agent with all runtime metrics switched on, and a workload driven by input.
//
// Prints its address, then executes the orders in its input, one per line, with `done` after each:
//
//     burn MS              uses this much CPU time on a separate thread
//     touch MIB            allocates and touches this much memory, and keeps it
//     release              frees it
//     open COUNT           opens /dev/null this many times, and keeps it open
//     threads COUNT        starts this many waiting threads
//     read MIB             reads /dev/zero
//     block-main MS        blocks the main actor                          (does not wait)
//     block-executor MS    blocks every worker of medium priority         (does not wait)
//     unblock              ends blocks of 0 ms, which last until then
//     sleepers COUNT       starts this many sleeping tasks
//     wake                 ends them
//     jobs COUNT           runs this many detached tasks to completion
//     objects COUNT        creates and releases this many objects
//     closures COUNT       creates and releases this many closures with a context
//     request MS           records a request of this duration
//     everything           makes the agent expose the metrics that need an event first
//
// Probes run every 20 ms, and a hang of 150 ms is a stall. PROBE_DEFAULTS=1 uses the agent's
// defaults. PROBE_FIRST=ORDER;ORDER executes these orders before the agent starts, so that the
// first readings include their effects.

import Dispatch
import Foundation
import Glibc
import Outrider
import Synchronization

/// An object of a known size: 16 bytes of header and 112 bytes of fields.
final class LabOrder {
    var lines: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0)
    var more: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0)
}

@MainActor
enum RuntimeLab {
    private static var kept: [[UInt8]] = []
    private static var sleepers: [Task<Void, Never>] = []

    static func run() async {
        var configuration = Agent.Configuration(address: .loopback(port: 0))
        if ProcessInfo.processInfo.environment["PROBE_DEFAULTS"] == nil {
            configuration.runtime.probeInterval = .milliseconds(20)
            configuration.runtime.stallThreshold = .milliseconds(150)
            configuration.runtime.liveTasks = true
            configuration.runtime.objectTypes = true
            configuration.runtime.allocator = true
        }
        EveryMetric.configure(&configuration)
        let first = ProcessInfo.processInfo.environment["PROBE_FIRST"] ?? ""
        for order in first.split(separator: ";") {
            let (name, number) = words(of: String(order))
            await obey(name, number)
        }
        let agent = Agent.start(configuration)
        say(agent.address?.url ?? "")
        let (orders, continuation) = AsyncStream.makeStream(of: String.self)
        Thread.detachNewThread {
            while let line = readLine() {
                // Handled here, since the main actor may be blocked.
                if line == "unblock" {
                    isBlocking.store(false, ordering: .releasing)
                    say("done")
                } else {
                    continuation.yield(line)
                }
            }
            isBlocking.store(false, ordering: .releasing)
            continuation.finish()
        }
        for await order in orders {
            let (name, number) = words(of: order)
            if name == "everything" { EveryMetric.record(in: agent) }
            if name == "request" { await EveryMetric.request(in: agent, milliseconds: number) }
            await obey(name, number)
            say("done")
        }
        agent.stop()
    }

    private static func words(of order: String) -> (name: String, number: Int) {
        let words = order.split(separator: " ").map(String.init)
        return (words.first ?? "", words.count > 1 ? Int(words[1]) ?? 0 : 0)
    }

    private nonisolated static func say(_ text: String) {
        FileHandle.standardOutput.write(Data("\(text)\n".utf8))
    }

    private static func obey(_ name: String, _ number: Int) async {
        switch name {
        case "burn": burn(milliseconds: number)
        case "touch": kept.append([UInt8](repeating: 1, count: number << 20))
        case "release":
            kept = []
        case "open": for _ in 0..<number { _ = unsafe open("/dev/null", O_RDONLY) }
        case "threads": startThreads(number)
        case "read": read(mebibytes: number)
        case "block-main":
            isBlocking.store(true, ordering: .releasing)
            Task { @MainActor in blockMainActor(milliseconds: number) }
        case "block-executor":
            isBlocking.store(true, ordering: .releasing)
            // Dispatch adds a worker each second while the others sleep, and these must be blocked
            // too.
            let added = number == 0 ? 100 : 1
            for _ in 0..<ProcessInfo.processInfo.activeProcessorCount + added {
                Task.detached(priority: .medium) { blockWorker(milliseconds: number) }
            }
        case "sleepers":
            for _ in 0..<number { sleepers.append(Task.detached { await sleepLong() }) }
        case "wake":
            for sleeper in sleepers { sleeper.cancel() }
            for sleeper in sleepers { await sleeper.value }
            sleepers = []
        case "jobs":
            for _ in 0..<number / 100 {
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<100 { group.addTask {} }
                }
            }
        case "objects": makeObjects(number)
        case "closures": makeClosures(number)
        default: break
        }
    }

    private static func burn(milliseconds: Int) {
        func used() -> Int {
            var time = timespec()
            unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            return time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
        }
        let end = used() + milliseconds
        while used() < end {}
    }

    private static func startThreads(_ count: Int) {
        let started = DispatchSemaphore(value: 0)
        for number in 0..<count {
            let thread = Thread {
                // Sets the name in the kernel.
                let file = unsafe open("/proc/thread-self/comm", O_WRONLY)
                let name = "lab-worker-\(number)"
                _ = unsafe write(file, name, name.utf8.count)
                close(file)
                started.signal()
                while true { pause() }
            }
            thread.stackSize = 256 << 10
            thread.start()
        }
        for _ in 0..<count { started.wait() }
    }

    private static func read(mebibytes: Int) {
        let file = unsafe open("/dev/zero", O_RDONLY)
        var memory = [UInt8](repeating: 0, count: 1 << 20)
        for _ in 0..<mebibytes { _ = unsafe Glibc.read(file, &memory, memory.count) }
        close(file)
    }

    private static func makeObjects(_ count: Int) {
        for _ in 0..<count { withExtendedLifetime(LabOrder()) {} }
    }

    private static func makeClosures(_ count: Int) {
        for number in 0..<count {
            let closure = escaped { number + count }
            _ = closure()
        }
    }

    @inline(never)
    private static func escaped(_ closure: @escaping () -> Int) -> () -> Int { closure }

    private nonisolated static func sleepLong() async {
        try? await Task.sleep(for: .seconds(600))
    }
}

/// Whether blocks without a duration continue.
private let isBlocking = Atomic<Bool>(false)

/// Blocks the main actor; tests look for this function's name.
@inline(never)
func blockMainActor(milliseconds: Int) { spin(milliseconds: milliseconds) }

/// Blocks a worker of the global executor.
@inline(never)
func blockWorker(milliseconds: Int) { spin(milliseconds: milliseconds) }

/// Waits despite signals; with 0 ms, until `unblock` is read.
@inline(never)
private func spin(milliseconds: Int) {
    let end = ContinuousClock.now + .milliseconds(milliseconds)
    while milliseconds == 0 ? isBlocking.load(ordering: .acquiring) : ContinuousClock.now < end {
        usleep(1_000)
    }
}
