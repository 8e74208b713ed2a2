// SPDX-License-Identifier: Apache-2.0
// Tests of the history of modules and names over a year of reloaded plugins.

import OutriderProfile
import Synchronization
import Testing

@Suite struct HistoryTests {
    private final class Loader: Sendable {
        let turn = Atomic<UInt64>(0)

        /// The program, and one of three versions of a plugin at one of two addresses.
        func modules() -> [Module] {
            let turn = UInt(turn.load(ordering: .relaxed))
            let start = 0x7F00_0000_0000 + turn % 2 * 0x10_0000
            return [
                Module(path: "/app", addresses: 0x40_0000..<0x50_0000),
                Module(path: "/plugin-\(turn % 3).so", addresses: start..<start + 0x1_0000),
            ]
        }
    }

    private let loader = Loader()

    private func history() -> ModuleHistory {
        let loader = loader
        return ModuleHistory(
            generation: { loader.turn.load(ordering: .relaxed) }, loaded: { loader.modules() })
    }

    @Test func `a library that is reloaded at the same address is kept once`() {
        let history = history()
        for turn in 0..<8_760 {
            loader.turn.store(UInt64(turn), ordering: .relaxed)
            history.update()
            let modules = history.modules
            #expect(Set(modules).count == modules.count)
            if modules.count > 7 { break }
        }
        // The program, and each version at each address.
        #expect(history.modules.count == 7)
        #expect(history.modules.first?.path == "/app")
    }

    @Test func `libraries at ever new addresses are kept up to a limit, latest first`() {
        let loader = loader
        let history = ModuleHistory(
            generation: { loader.turn.load(ordering: .relaxed) },
            loaded: {
                let start = 0x7F00_0000_0000 + UInt(loader.turn.load(ordering: .relaxed)) * 0x1_0000
                return [Module(path: "/plugin.so", addresses: start..<start + 0x1000)]
            })
        for turn in 0..<2_000 {
            loader.turn.store(UInt64(turn), ordering: .relaxed)
            history.update()
        }
        #expect(history.modules.count == 257)
        #expect(
            history.modules.map(\.addresses.lowerBound)
                == history.modules.map(\.addresses.lowerBound).sorted(by: >))
    }

    @Test func `addresses of an unloaded library do not resolve to the next one at its address`() {
        let moved: UInt = 1 << 63
        let history = ModuleHistory(
            generation: { 1 },
            loaded: { [Module(path: "/other.so", addresses: 0x7F00_0000_0000..<0x7F00_0000_1000)] },
            moved: { [Module(path: "/first.so", addresses: moved..<moved + 0x1000)] })
        let addresses: Set<UInt> = [0x7F00_0000_0010, moved + 0x10, moved + 0x2000]
        let symbols = Symbolizer(history: history).symbols(of: addresses)
        #expect(symbols.label(0x7F00_0000_0010) == "other.so+0x10")
        #expect(symbols.label(moved + 0x10) == "first.so+0x10")
        #expect(symbols.label(moved + 0x2000) == "0x8000000000002000")
    }

    @Test func `a library at an often reused address is found`() {
        let loader = Loader()
        let history = ModuleHistory(
            generation: { loader.turn.load(ordering: .relaxed) },
            loaded: {
                // Each is a page longer than the previous one.
                let turn = UInt(loader.turn.load(ordering: .relaxed))
                let start: UInt = 0x7F00_0000_0000
                return [
                    Module(path: "/\(turn).so", addresses: start..<start + 0x1000 * (turn + 1))
                ]
            }, moved: { [] })
        for turn in 1..<30 {
            loader.turn.store(UInt64(turn), ordering: .relaxed)
            history.update()
        }
        #expect(
            Symbolizer(history: history).symbols(of: [0x7F00_0000_0010]).label(0x7F00_0000_0010)
                == "29.so+0x10")
    }

    @Test func `looked-up names are kept up to a limit in bytes`() {
        let symbolizer = Symbolizer(history: history())
        for turn in 0..<80 {
            let first = 0x40_0000 + UInt(turn) * 1_000
            _ = symbolizer.symbols(of: Set(first..<first + 1_000))
            #expect(symbolizer.knownSize <= Symbolizer.limit)
        }
        #expect(symbolizer.knownSize > 0)
    }
}
