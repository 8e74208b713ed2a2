// SPDX-License-Identifier: Apache-2.0
// Tests of symbolizing functions of this program.

import OutriderProfile
import Testing

/// A return address within a function.
@inline(never)
private func addressInside(_ function: @convention(c) () -> Void) -> UInt {
    unsafe UInt(bitPattern: unsafeBitCast(function, to: UnsafeRawPointer.self)) + 2
}

@Suite struct SymbolizerTests {
    private static let own: @convention(c) () -> Void = { theFunctionWithAName() }

    @Test func `Swift functions have demangled names`() throws {
        let address = addressInside(Self.own)
        let symbols = Symbolizer(history: .shared).symbols(of: [address])
        let frame = try #require(symbols[address])
        #expect(frame.mangledName?.hasPrefix("$s") == true)
        #expect(frame.name?.contains("SymbolizerTests") == true, "\(frame)")
        #expect(symbols.label(address) == frame.name)
    }

    @Test func `an address outside of all modules is shown as a number`() {
        let nowhere: UInt = 0x1234
        let symbols = Symbolizer(history: .shared).symbols(of: [nowhere, .max, 0])
        #expect(symbols.label(nowhere) == "0x1234")
        #expect(symbols.label(.max) == "0xffffffffffffffff")
        #expect([nowhere, .max, 0].allSatisfy { symbols[$0] == Frame() } && symbols[1] == nil)
    }

    @Test func `the program is the first module, with its build ID and its addresses`() throws {
        let modules = ModuleHistory.shared.modules
        let program = try #require(modules.first)
        #expect(program.path.hasSuffix(".xctest"))
        #expect(program.addresses.contains(addressInside(Self.own)))
        #expect(program.image.contains(program.addresses.lowerBound))
        let libc = try #require(modules.first { $0.name.hasPrefix("libc.so") })
        #expect(libc.buildID.count == 40 && libc.buildID.allSatisfy(\.isHexDigit))
    }

    @Test func `names are looked up once and cached`() throws {
        let symbolizer = Symbolizer(history: .shared)
        let address = addressInside(Self.own)
        let first = try #require(symbolizer.symbols(of: [address])[address])
        let size = symbolizer.knownSize
        #expect(symbolizer.symbols(of: [address])[address] == first && first.name != nil)
        #expect(symbolizer.knownSize == size)
        #expect(symbolizer.symbols(of: [address, address + 1])[address + 1] == first)
    }
}

@inline(never)
private func theFunctionWithAName() {}
