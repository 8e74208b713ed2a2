// SPDX-License-Identifier: Apache-2.0
// An agent with a heap profiler, and memory that is allocated and released on command.
//
// Prints the agent's URL, then a line for each line of its input:
//
//     hold COUNT      allocates COUNT sessions, arrays and boxes, and holds them
//     deep COUNT      allocates COUNT sessions from as many different deep stacks, and holds them
//     churn COUNT     allocates and frees COUNT blocks of 1 KiB
//     release         releases everything
//     interval BYTES  changes the interval
//     library PATH COUNT  loads a library, which allocates COUNT bytes for good, and unloads it
//     keep PATH COUNT     the same without unloading

import Foundation
import Outrider
import OutriderHeap

/// A class whose name a test looks for in profiles.
final class ShopSession {
    let words: [UInt64]

    @inline(never)
    init(_ number: Int) {
        words = Array(repeating: UInt64(number), count: 8)
    }
}

/// A generic class for the same purpose.
final class ShopBox<Content> {
    let content: Content

    @inline(never)
    init(_ content: Content) { self.content = content }
}

enum Serve {
    private struct Held {
        var sessions: [ShopSession] = []
        var boxes: [ShopBox<[String: Int]>] = []
        var arrays: [[Double]] = []
    }

    static func run() {
        var sampling = HeapProfiler.Configuration()
        // Most tests count samples, whatever the machine's speed.
        let keepsBudget = ProcessInfo.processInfo.environment["PROBE_KEEPS_BUDGET"] != nil
        if !keepsBudget { sampling.budget = 0 }
        let profiler = HeapProfiler(sampling)
        var configuration = Agent.Configuration(address: .loopback(port: 0))
        configuration.registry = Registry()
        guard
            let agent = try? Agent.start(
                configuration, profiles: [profiler], onFailure: .throw),
            let url = agent.address?.url
        else { return }
        say(url)
        var held = Held()
        while let line = readLine() {
            let words = line.split(separator: " ")
            let number = words.last.flatMap { Int($0) } ?? 0
            switch words.first {
            case "hold": hold(number, &held)
            case "deep": DeepStacks.hold(number, in: &held.sessions)
            case "churn": churn(number)
            case "release": held = Held()
            case "interval": profiler.interval = number
            case "library": library(String(words[1]), number, isKept: false)
            case "keep": library(String(words[1]), number, isKept: true)
            default: break
            }
            say("done")
        }
        agent.stop()
    }

    @inline(never)
    private static func hold(_ count: Int, _ held: inout Held) {
        for number in 0..<count {
            held.sessions.append(ShopSession(number))
            held.boxes.append(ShopBox(["number": number]))
            held.arrays.append(Array(repeating: 0.5, count: 64))
        }
    }

    @inline(never)
    private static func churn(_ count: Int) {
        for _ in 0..<count {
            let block = UnsafeMutableRawPointer.allocate(byteCount: 1_024, alignment: 8)
            unsafe block.storeBytes(of: 1, as: UInt8.self)
            unsafe block.deallocate()
        }
    }

    @inline(never)
    private static func library(_ path: String, _ count: Int, isKept: Bool) {
        typealias Allocate = @convention(c) (Int) -> UnsafeMutableRawPointer?
        guard let library = unsafe dlopen(path, RTLD_NOW | RTLD_LOCAL),
            let symbol = unsafe dlsym(library, "swapped_allocate")
        else { return }
        // SAFETY: The function is defined in Tests/Preload/swapped_library.c.
        _ = unsafe unsafeBitCast(symbol, to: Allocate.self)(count)
        if !isKept { unsafe dlclose(library) }
    }

    private static func say(_ text: String) {
        print(text)
        fflush(nil)
    }
}
