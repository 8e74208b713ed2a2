// SPDX-License-Identifier: Apache-2.0
// An encoder for `profile.proto`, the format of `go tool pprof`, Parca and Pyroscope.
//
// Names are included, because only this process is sure to have the right files and can demangle
// Swift. Mappings with build ids are included too, for readers with debug information.
// Source: github.com/google/pprof, proto/profile.proto and proto/README.md.

internal import OutriderWire

/// Writes one profile, compressing it as it goes.
struct PprofEncoder {
    /// The function name of unknown stacks and addresses.
    private static let unknownStack = "[unknown stack]"
    /// Bytes that are compressed at a time.
    private static let chunk = 64 << 10

    private let profile: Profile
    private let symbols: Symbols
    private var gzip = GzipWriter()
    private var output = WireWriter()
    private var strings: [String] = [""]
    private var stringIndices: [String: Int64] = ["": 0]
    private var functions: [String: UInt64] = [:]

    /// Returns the profile as gzipped bytes; uncompressed if memory is short.
    static func encode(_ profile: Profile, _ symbols: Symbols) -> [UInt8] {
        var encoder = PprofEncoder(profile: profile, symbols: symbols)
        encoder.write()
        return encoder.gzip.finish()
    }

    private init(profile: Profile, symbols: Symbols) {
        self.profile = profile
        self.symbols = symbols
    }

    /// Adds a message, and compresses the output once a chunk is complete.
    private mutating func add(_ field: UInt64, _ message: WireWriter) {
        output.add(field, message)
        flush(from: Self.chunk)
    }

    private mutating func flush(from count: Int) {
        if output.bytes.count < count { return }
        gzip.write(output.bytes)
        output.clear()
    }

    private mutating func write() {
        for type in profile.sampleTypes { add(1, valueType(type)) }
        writeSamples()
        writeMappings()
        for index in symbols.addresses.indices { add(4, location(index)) }
        output.add(9, profile.timeNanoseconds)
        output.add(10, profile.durationNanoseconds)
        add(11, valueType(profile.periodType))
        output.add(12, profile.period)
        output.add(13, packed: profile.comments.map { string($0) })
        output.add(14, string(profile.defaultSampleType))
        // The strings come last, because everything before adds to them; readers must accept any
        // order.
        for string in strings {
            output.add(6, string)
            flush(from: Self.chunk)
        }
        flush(from: 0)
    }

    /// Numbers locations in the order of the addresses, so that two profiles of a process number
    /// them alike.
    private mutating func writeSamples() {
        let table = profile.table
        let unknown = UInt64(symbols.addresses.count) + 1
        let locations = table.addresses.map { address in
            symbols.index(of: address).map { UInt64($0) + 1 } ?? unknown
        }
        var isUnknown = locations.contains(unknown)
        for (row, content) in table.rows.enumerated() {
            let frames = table.range(ofStack: Int(content.stack))
            var message = WireWriter()
            if frames.isEmpty {
                message.add(1, packed: CollectionOfOne(unknown))
            } else {
                message.add(1, packed: frames.lazy.map { locations[Int(table.frames[$0])] })
            }
            isUnknown = isUnknown || frames.isEmpty
            message.add(2, packed: table.values[row * table.width..<(row + 1) * table.width])
            for label in table.labelSets[Int(content.labels)] {
                var content = WireWriter()
                content.add(1, string(label.key))
                content.add(2, string(label.value))
                message.add(3, content)
            }
            add(2, message)
        }
        if isUnknown { add(4, unknownLocation(unknown)) }
    }

    private mutating func writeMappings() {
        var isNamed = [Bool](repeating: false, count: symbols.modules.count)
        for index in symbols.addresses.indices where symbols.function(at: index) != nil {
            if let module = symbols.module(at: index) { isNamed[module] = true }
        }
        for (number, module) in symbols.modules.enumerated() {
            add(3, mapping(module, number: number, isNamed: isNamed[number]))
        }
    }

    /// The index of a string.
    private mutating func string(_ text: String) -> Int64 {
        if let number = stringIndices[text] { return number }
        let number = Int64(strings.count)
        strings.append(text)
        stringIndices[text] = number
        return number
    }

    private mutating func valueType(_ type: Profile.ValueType) -> WireWriter {
        var message = WireWriter()
        message.add(1, string(type.type))
        message.add(2, string(type.unit))
        return message
    }

    private mutating func mapping(
        _ module: Module, number: Int, isNamed: Bool
    ) -> WireWriter {
        var message = WireWriter()
        message.add(1, UInt64(number) + 1)
        message.add(2, UInt64(module.addresses.lowerBound))
        message.add(3, UInt64(module.addresses.upperBound))
        message.add(4, module.fileOffset)
        message.add(5, string(module.path))
        message.add(6, string(module.buildID))
        // If no function is known, a reader may find some itself.
        message.add(7, isNamed)
        return message
    }

    private mutating func location(_ index: Int) -> WireWriter {
        var message = WireWriter()
        message.add(1, UInt64(index) + 1)
        if let module = symbols.module(at: index) { message.add(2, UInt64(module) + 1) }
        // The address of the call, which is before its return address.
        message.add(3, UInt64(symbols.addresses[index] &- 1))
        if let function = symbols.function(at: index) {
            let name = symbols.functions[function]
            message.add(4, line(name.readable, name.mangled))
        }
        return message
    }

    private mutating func unknownLocation(_ id: UInt64) -> WireWriter {
        var message = WireWriter()
        message.add(1, id)
        message.add(4, line(Self.unknownStack, Self.unknownStack))
        return message
    }

    private mutating func line(_ name: String, _ mangled: String) -> WireWriter {
        let id = functions[mangled] ?? UInt64(functions.count) + 1
        if functions[mangled] == nil {
            functions[mangled] = id
            var function = WireWriter()
            function.add(1, id)
            function.add(2, string(name))
            function.add(3, string(mangled))
            add(5, function)
        }
        var message = WireWriter()
        message.add(1, id)
        return message
    }
}
