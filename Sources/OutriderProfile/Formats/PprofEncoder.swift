// SPDX-License-Identifier: Apache-2.0
// `profile.proto`, the format of `go tool pprof`, Parca and Pyroscope.
//
// Names are sent, since this process is the only place that is sure to have the right files and can
// demangle Swift; mappings with build ids are sent all the same, for those who have debug information.
// Source: github.com/google/pprof, proto/profile.proto and proto/README.md.

internal import OutriderWire

/// Writes one profile.
struct PprofEncoder {
    /// Where samples go whose stack nobody knows.
    private static let unknownStack = "[unknown stack]"

    private let profile: Profile
    private let symbols: Symbols
    private var strings: [String] = [""]
    private var numbers: [String: Int64] = ["": 0]
    private var functions: [String: UInt64] = [:]
    private var functionMessages: [WireWriter] = []

    /// The profile as bytes, gzipped; as they are should memory be short.
    static func encode(_ profile: Profile, _ symbols: Symbols) -> [UInt8] {
        var encoder = PprofEncoder(profile: profile, symbols: symbols)
        let bytes = encoder.encoded()
        return Gzip.member(bytes) ?? bytes
    }

    private init(profile: Profile, symbols: Symbols) {
        self.profile = profile
        self.symbols = symbols
    }

    private mutating func encoded() -> [UInt8] {
        var output = WireWriter()
        for type in profile.sampleTypes { output.add(1, valueType(type)) }
        // In the order of the addresses, so that two profiles of one process number them alike.
        let addresses = symbols.frames.keys.sorted()
        var locations: [UInt: UInt64] = [:]
        for (index, address) in addresses.enumerated() { locations[address] = UInt64(index) + 1 }
        let unknown = UInt64(addresses.count) + 1
        for sample in profile.samples {
            let ids = sample.stack.map { locations[$0] ?? unknown }
            output.add(2, self.sample(sample, ids.isEmpty ? [unknown] : ids))
        }
        for (index, module) in symbols.modules.enumerated() {
            output.add(3, mapping(module, number: index))
        }
        for (index, address) in addresses.enumerated() {
            output.add(4, location(UInt64(index) + 1, address))
        }
        if profile.samples.contains(where: \.stack.isEmpty) {
            output.add(4, unknownLocation(unknown))
        }
        for function in functionMessages { output.add(5, function) }
        output.add(9, profile.timeNanoseconds)
        output.add(10, profile.durationNanoseconds)
        output.add(11, valueType(profile.periodType))
        output.add(12, profile.period)
        output.add(13, packed: profile.comments.map { string($0) })
        output.add(14, string(profile.defaultSampleType))
        // Last, as everything before it adds to it; a reader may not mind the order.
        for string in strings { output.add(6, string) }
        return output.bytes
    }

    /// The number of a string.
    private mutating func string(_ text: String) -> Int64 {
        if let number = numbers[text] { return number }
        let number = Int64(strings.count)
        strings.append(text)
        numbers[text] = number
        return number
    }

    private mutating func valueType(_ type: Profile.ValueType) -> WireWriter {
        var message = WireWriter()
        message.add(1, string(type.type))
        message.add(2, string(type.unit))
        return message
    }

    private mutating func sample(_ sample: Profile.Sample, _ locations: [UInt64]) -> WireWriter {
        var message = WireWriter()
        message.add(1, packed: locations)
        message.add(2, packed: sample.values)
        for label in sample.labels {
            var content = WireWriter()
            content.add(1, string(label.key))
            content.add(2, string(label.value))
            message.add(3, content)
        }
        return message
    }

    private mutating func mapping(_ module: Module, number: Int) -> WireWriter {
        var message = WireWriter()
        message.add(1, UInt64(number) + 1)
        message.add(2, UInt64(module.addresses.lowerBound))
        message.add(3, UInt64(module.addresses.upperBound))
        message.add(4, module.fileOffset)
        message.add(5, string(module.path))
        message.add(6, string(module.buildID))
        // Where no function is known, a reader may find some itself.
        message.add(7, symbols.frames.values.contains { $0.module == number && $0.name != nil })
        return message
    }

    private mutating func location(_ id: UInt64, _ address: UInt) -> WireWriter {
        var message = WireWriter()
        message.add(1, id)
        let frame = symbols.frames[address]
        if let module = frame?.module { message.add(2, UInt64(module) + 1) }
        // Of the call, which is before the address that it returns to.
        message.add(3, UInt64(address &- 1))
        if let name = frame?.name { message.add(4, line(name, frame?.mangledName ?? name)) }
        return message
    }

    private mutating func unknownLocation(_ id: UInt64) -> WireWriter {
        var message = WireWriter()
        message.add(1, id)
        message.add(4, line(Self.unknownStack, Self.unknownStack))
        return message
    }

    private mutating func line(_ name: String, _ mangled: String) -> WireWriter {
        let id = functions[mangled] ?? UInt64(functionMessages.count) + 1
        if functions[mangled] == nil {
            functions[mangled] = id
            var function = WireWriter()
            function.add(1, id)
            function.add(2, string(name))
            function.add(3, string(mangled))
            functionMessages.append(function)
        }
        var message = WireWriter()
        message.add(1, id)
        return message
    }
}
