// SPDX-License-Identifier: Apache-2.0
// Tests of handlers that are created, used, reset, destroyed and scraped at once: nothing is lost
// or shown twice.

import CoreMetrics
import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct SwiftMetricsConcurrencyTests {
    private let registry = Registry(hasOwnMetrics: false, log: .silent)
    private let factory: OutriderMetricsFactory

    init() {
        factory = OutriderMetricsFactory(registry: registry)
    }

    private func inParallel(_ body: @escaping @Sendable (Int) async -> Void) async {
        await withTaskGroup { group in
            for task in 0..<4 { group.addTask { await body(task) } }
        }
    }

    @Test func `increments of handlers created on many threads add up`() async throws {
        let factory = factory
        await inParallel { task in
            for n in 0..<1_000 {
                let pair = [("n", "\(n % 50)"), ("a", "1")]
                CoreMetrics.Counter(
                    label: "c", dimensions: task % 2 == 0 ? pair : pair.reversed(),
                    factory: factory
                ).increment()
                if n % 100 == 0 { await Task.yield() }
            }
        }
        for n in 0..<50 { try registry.expect("c_total", ["n": "\(n)", "a": "1"], 80) }
        #expect(registry.handlerCount == 50)
    }

    @Test func `concurrent requests for a new handler create it once`() async {
        let factory = factory
        for turn in 0..<50 {
            let handlers = await withTaskGroup(of: ObjectIdentifier.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        ObjectIdentifier(
                            factory.makeMeter(label: "m", dimensions: [("t", "\(turn)")]))
                    }
                }
                return await group.reduce(into: Set()) { $0.insert($1) }
            }
            #expect(handlers.count == 1)
        }
    }

    @Test func `a series stays until its last owner destroys it, whatever others do`() async {
        let (factory, registry) = (factory, registry)
        await inParallel { task in
            for n in 0..<500 {
                let counter = CoreMetrics.Counter(
                    label: "c", dimensions: [("n", "\(n % 3)")], factory: factory)
                counter.increment()
                if n % 50 == 0 {
                    // It is in use until this task destroys it.
                    let value = registry.value("c_total", ["n": "\(n % 3)"])
                    #expect((value ?? 0) >= 1)
                }
                counter.destroy()
                if n % 50 == 0 { await Task.yield() }
            }
        }
        #expect(registry.handlerCount == 0)
        #expect(registry.value("c_total", ["n": "0"]) == nil)
    }

    @Test func `scrapes during creation and destruction can always be parsed`() async throws {
        let (factory, registry) = (factory, registry)
        await inParallel { task in
            for n in 0..<600 {
                let dimensions = [("n", "\(n % 40)"), ("task", "\(task % 2)")]
                let counter = CoreMetrics.Counter(
                    label: "c", dimensions: dimensions, factory: factory)
                counter.increment()
                if n % 7 == 0 { counter.reset() }
                let timer = CoreMetrics.Timer(
                    label: "t", dimensions: dimensions, factory: factory)
                timer.recordSeconds(1)
                if n % 3 == 0 {
                    counter.destroy()
                    timer.destroy()
                }
                if n % 150 == 0 {
                    #expect(throws: Never.self) { try registry.exposition() }
                    await Task.yield()
                }
            }
        }
    }

    @Test func `after concurrent resets and increments, a final reset restarts from zero`()
        async throws
    {
        let factory = factory
        let counter = CoreMetrics.Counter(label: "c", factory: factory)
        await inParallel { task in
            for n in 0..<2_000 {
                if task == 0, n % 10 == 0 { counter.reset() } else { counter.increment() }
            }
        }
        counter.reset()
        counter.increment()
        try registry.expect("c_total", 1)
    }

    @Test func `name clashes leave a valid exposition, in any order`() async {
        let (factory, registry) = (factory, registry)
        await inParallel { task in
            for n in 0..<200 {
                switch task {
                case 0: Meter(label: "x\(n)", factory: factory).set(1)
                case 1: Recorder(label: "x\(n)", factory: factory).record(1)
                case 2: _ = registry.gauge("x\(n)", help: "X.", labels: ["a"]).with("1")
                default: registry.unregister("x\(n)")
                }
            }
        }
        #expect(throws: Never.self) { try registry.exposition() }
    }

    @Test func `a family unregistered during the creation of handlers is registered again`() async {
        let (factory, registry) = (factory, registry)
        // Many dimensions take long to sort, which is when the race can happen.
        let dimensions = (0..<30).map { ("n\($0)", "\($0)") }
        for turn in 0..<20 {
            let all = (0..<20).map { dimensions + [("turn", "\(turn).\($0)")] }
            let isMaking = Tally(1)
            await withTaskGroup { group in
                group.addTask {
                    while isMaking.count > 0 {
                        for _ in 0..<1_000 { registry.unregister("c_total") }
                        await Task.yield()
                    }
                }
                group.addTask {
                    for dimensions in all {
                        _ = factory.makeCounter(label: "c", dimensions: dimensions)
                    }
                    isMaking.add(-1)
                }
            }
            for dimensions in all {
                factory.makeCounter(label: "c", dimensions: dimensions).increment(by: 1)
            }
            #expect(registry.text().ranges(of: "turn=\"\(turn).").count == 20)
        }
    }
}
