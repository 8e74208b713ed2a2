// SPDX-License-Identifier: Apache-2.0
// Writes metric families in Prometheus' protobuf format, the one that has native histograms.
//
//     length | MetricFamily   length | MetricFamily   …
//
// Names and labels are those of the text format, exemplars those of OpenMetrics. Each counter and
// histogram has its creation time.
//
// Source: io/prometheus/client/metrics.proto of the Prometheus client model.

internal import OutriderThreading
internal import OutriderWire

/// Writes metric families, each preceded by its length.
struct ProtobufWriter: ~Copyable {
    private enum Kind: UInt64 {
        case counter = 0
        case gauge = 1
        case histogram = 4
    }

    private let escaping: NameEscaping
    /// The complete families, and the one being written.
    private(set) var output: ByteWriter
    // Reused from one message to the next, so that few messages allocate.
    private var head = WireWriter()
    private var metric = WireWriter()
    private var value = WireWriter()
    private var inner = WireWriter()
    private var innermost = WireWriter()
    /// The names that the family was given.
    private var given: GivenNames?

    /// Writes into memory that grows.
    init(_ escaping: NameEscaping, into memory: MappedMemory) {
        self.escaping = escaping
        output = ByteWriter(growing: memory)
    }

    /// Writes one family with all of its series; nothing if it has none.
    mutating func write(_ core: FamilyCore) {
        let start = output.count
        var isEmpty = true
        for run in core.runs {
            for index in 0..<run.count where run.block.isShown(at: index) {
                if isEmpty { begin(core.definition) }
                isEmpty = false
                write(core, run, index)
            }
        }
        if !isEmpty { delimit(from: start) }
    }

    /// Writes one family of a collector; nothing if it has no samples.
    mutating func write(_ samples: CollectedSamples.Series, as definition: MetricDefinition) {
        if samples.samples.isEmpty { return }
        let start = output.count
        begin(definition)
        unsafe samples.labels.withUnsafeBufferPointer { bytes in
            var start = 0
            for (end, number) in samples.samples {
                unsafe beginMetric(UnsafeBufferPointer(rebasing: bytes[start..<end]))
                value.clear()
                value.add(1, number)
                metric.add(definition.kind == .counter ? 3 : 2, value)
                endMetric()
                start = end
            }
        }
        delimit(from: start)
    }

    private mutating func begin(_ definition: MetricDefinition) {
        given = definition.given
        head.clear()
        head.add(1, definition.name(escaping))
        if !definition.help.isEmpty { head.add(2, definition.help) }
        let kind: Kind =
            switch definition.kind {
            case .counter: .counter
            case .gauge, .info, .stateSet: .gauge
            case .histogram: .histogram
            }
        head.add(3, kind.rawValue)
        output.append(head.bytes)
    }

    private mutating func endMetric() {
        head.clear()
        head.begin(4, length: metric.bytes.count)
        output.append(head.bytes)
        output.append(metric.bytes)
    }

    /// Inserts the length of everything written after offset `start`.
    private mutating func delimit(from start: Int) {
        head.clear()
        head.begin(length: output.count - start)
        output.insert(head.bytes, at: start)
    }

    private mutating func beginMetric(_ labels: UnsafeBufferPointer<UInt8>) {
        metric.clear()
        unsafe LabelBlock.forEachLabel(in: labels) { name, value in
            inner.clear()
            if let given {
                inner.add(
                    1, given.label(String(decoding: unsafe Array(name), as: UTF8.self), escaping))
            } else {
                unsafe inner.add(1, name)
            }
            if unsafe value.contains(UInt8(ascii: "\\")) {
                inner.add(2, unsafe LabelBlock.unescaped(value))
            } else {
                unsafe inner.add(2, value)
            }
            metric.add(1, inner)
        }
    }

    private mutating func write(_ core: FamilyCore, _ run: SeriesRun, _ index: Int) {
        let (block, kind) = (run.block, core.definition.kind)
        unsafe beginMetric(block.labels(at: index))
        let numbers = block.numbers(at: index, of: kind, hasRows: core.hasRows)
        value.clear()
        switch kind {
        case .counter:
            value.add(1, Double(numbers.integer(at: 0)) + numbers.double(at: 1))
            if core.hasExemplars {
                addExemplar(block.exemplars(at: index, kind)?.rendered(at: 0), 2)
            }
            addTime(core.secondsAtCreation(of: index, in: run), 3)
            metric.add(3, value)
        case .gauge, .info, .stateSet:
            value.add(1, numbers.double(at: 0))
            metric.add(2, value)
        case .histogram:
            addHistogram(core, block, index, numbers)
            addTime(core.secondsAtCreation(of: index, in: run), 15)
            metric.add(7, value)
        }
        endMetric()
    }

    // MARK: - Histograms

    /// Adds the fields of a histogram.
    private mutating func addHistogram(
        _ core: FamilyCore, _ block: SeriesBlock, _ index: Int, _ numbers: SeriesValues
    ) {
        // SAFETY: a family of histograms has no other instruments.
        let histogram = unsafe unsafeDowncast(block.instrument(at: index), to: Histogram.self)
        let bounds = core.definition.bounds
        let counts = (0...bounds.count).map { numbers.integer(at: $0) }
        let sum = numbers.double(at: bounds.count + 1)
        let native = histogram.native?.snapshot()
        // If there are native buckets, the count must be the sum of those.
        let total = native?.count ?? counts.reduce(0, &+)
        value.add(1, total)
        value.add(2, sum)
        addBuckets(
            bounds, counts, total: total,
            core.hasExemplars ? block.exemplars(at: index, .histogram) : nil)
        if let native { add(native) }
    }

    private mutating func addBuckets(
        _ bounds: [Double], _ counts: [UInt64], total: UInt64, _ exemplars: ExemplarSlots?
    ) {
        var cumulative: UInt64 = 0
        for (bucket, count) in counts.enumerated() {
            cumulative &+= count
            let isLast = bucket == bounds.count
            inner.clear()
            inner.add(1, isLast ? total : min(cumulative, total))
            inner.add(2, isLast ? .infinity : bounds[bucket])
            if let exemplars, let exemplar = Self.message(exemplars.rendered(at: bucket)) {
                inner.add(3, exemplar)
            }
            value.add(3, inner)
        }
    }

    private mutating func add(_ native: NativeSnapshot) {
        value.add(5, signed: Int64(native.scale.schema))
        value.add(6, native.zeroThreshold)
        value.add(7, native.zeroCount)
        add(native.negative, spans: 9, deltas: 10)
        add(native.positive, spans: 12, deltas: 13)
        if native.positive.isEmpty, native.negative.isEmpty {
            // An empty span marks the histogram as native, whatever its threshold.
            innermost.clear()
            value.add(12, innermost)
        }
    }

    /// Adds buckets: contiguous runs as spans, and each count as the difference from the previous
    /// one.
    private mutating func add(_ buckets: [NativeSnapshot.Bucket], spans: UInt64, deltas: UInt64) {
        var next = 0
        var position = 0
        while position < buckets.count {
            let start = buckets[position].index
            var end = position + 1
            while end < buckets.count, buckets[end].index == start + end - position { end += 1 }
            innermost.clear()
            innermost.add(1, signed: Int64(start - next))
            innermost.add(2, UInt64(end - position))
            value.add(spans, innermost)
            next = start + end - position
            position = end
        }
        var last: Int64 = 0
        for bucket in buckets {
            let count = Int64(clamping: bucket.count)
            // A difference of zero must be written too.
            value.add(deltas, signed: count - last, showsZero: true)
            last = count
        }
    }

    // MARK: - Exemplars and times

    private mutating func addExemplar(_ rendered: [UInt8]?, _ field: UInt64) {
        if let rendered, let message = Self.message(rendered) { value.add(field, message) }
    }

    private mutating func addTime(_ seconds: Double, _ field: UInt64) {
        value.add(field, Self.time(seconds))
    }

    private static func time(_ seconds: Double) -> WireWriter {
        var message = WireWriter()
        message.add(1, Int64(seconds.rounded(.down)))
        message.add(2, Int64((seconds - seconds.rounded(.down)) * 1_000_000_000))
        return message
    }

    /// Parses an exemplar as rendered for OpenMetrics: ` # {trace_id="4bf9"} 0.2 1700000000.5`.
    private static func message(_ rendered: [UInt8]) -> WireWriter? {
        guard let open = rendered.firstIndex(of: UInt8(ascii: "{")),
            let close = rendered.lastIndex(of: UInt8(ascii: "}"))
        else { return nil }
        let numbers = String(decoding: rendered[(close + 1)...], as: UTF8.self).split(
            separator: " ")
        guard numbers.count == 2, let number = Double(numbers[0]), let seconds = Double(numbers[1])
        else { return nil }
        var message = WireWriter()
        unsafe rendered.withUnsafeBufferPointer { bytes in
            let labels = unsafe UnsafeBufferPointer(rebasing: bytes[open + 1..<close])
            unsafe LabelBlock.forEachLabel(in: labels) { name, value in
                var pair = WireWriter()
                unsafe pair.add(1, name)
                pair.add(2, unsafe LabelBlock.unescaped(value))
                message.add(1, pair)
            }
        }
        message.add(2, number)
        message.add(3, time(seconds))
        return message
    }
}
