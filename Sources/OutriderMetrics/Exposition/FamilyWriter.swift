// SPDX-License-Identifier: Apache-2.0
// Writes metric families in the Prometheus text format 0.0.4 and in OpenMetrics 1.0.
//
// Names and escaped labels were rendered when the metric was created, so a scrape copies them and
// formats numbers. Nothing here allocates for a series (except one with exemplars), takes a lock
// that a recording thread could wait for, or builds a String.
//
// Sources: "Exposition formats" of the Prometheus documentation; the OpenMetrics 1.0 specification.

/// The variant of an exposition.
struct ExpositionStyle: Hashable, Sendable {
    /// OpenMetrics rather than the text format.
    var isOpenMetrics = false
    /// How names that are not classic names are exposed.
    var escaping = NameEscaping.underscores
    /// The protobuf format rather than a text format.
    var isProtobuf = false
    /// Whether OpenMetrics has the creation times of counters and histograms.
    var showsCreationTimes = false
}

/// Writes metric families in a style.
struct FamilyWriter {
    private let style: ExpositionStyle

    init(_ style: ExpositionStyle) {
        self.style = style
    }

    /// The properties that all series of a family share in one scrape.
    private struct Shown {
        let text: FamilyText
        let kind: MetricKind
        let hasExemplars: Bool
        let hasCreated: Bool
        let hasRows: Bool

        init(_ core: FamilyCore, _ style: ExpositionStyle) {
            text = core.texts[style.escaping]
            kind = core.definition.kind
            let isCumulative = style.isOpenMetrics && text.isCumulative
            hasExemplars = isCumulative && core.hasExemplars
            hasCreated = isCumulative && style.showsCreationTimes
            hasRows = core.hasRows
        }
    }

    /// Writes one family with all of its series; nothing if it has none.
    func write(_ core: FamilyCore, into writer: inout ByteWriter) {
        let shown = Shown(core, style)
        var isFirst = true
        for run in core.runs {
            let block = run.block
            for index in 0..<run.count where block.isShown(at: index) {
                if isFirst { writer.append(shown.text.head(style)) }
                isFirst = false
                unsafe shown.text.withShown(block.labels(at: index)) { labels in
                    unsafe write(core, shown, run, index, labels, into: &writer)
                }
                if writer.overflowed { return }
            }
        }
    }

    @inline(__always)
    private func write(
        _ core: FamilyCore, _ shown: Shown, _ run: SeriesRun, _ index: Int,
        _ labels: UnsafeBufferPointer<UInt8>, into writer: inout ByteWriter
    ) {
        let (block, kind, text) = (run.block, shown.kind, shown.text)
        let numbers = block.numbers(at: index, of: kind, hasRows: shown.hasRows)
        switch kind {
        case .counter:
            unsafe writeName(text, text.sample, labels, into: &writer)
            writeCounter(numbers, into: &writer)
            if shown.hasExemplars, let slots = block.exemplars(at: index, kind) {
                writer.append(slots.rendered(at: 0))
            }
        case .gauge, .info, .stateSet:
            unsafe writeName(text, text.sample, labels, into: &writer)
            writer.append(numbers.double(at: 0))
        case .histogram:
            let slots = shown.hasExemplars ? block.exemplars(at: index, kind) : nil
            unsafe writeHistogram(text, labels, numbers, slots, into: &writer)
        }
        writer.append(UInt8(ascii: "\n"))
        if shown.hasCreated {
            unsafe writeName(text, text.created, labels, into: &writer)
            writer.append(core.secondsAtCreation(of: index, in: run))
            writer.append(UInt8(ascii: "\n"))
        }
    }

    /// Writes one family of a collector; nothing if it has no samples.
    func write(
        _ samples: CollectedSamples.Series, as text: FamilyText, into writer: inout ByteWriter
    ) {
        if samples.samples.isEmpty { return }
        writer.append(text.head(style))
        unsafe samples.labels.withUnsafeBufferPointer { bytes in
            var start = 0
            for (end, value) in samples.samples {
                let labels = unsafe UnsafeBufferPointer(rebasing: bytes[start..<end])
                unsafe text.withShown(labels) { labels in
                    unsafe writeName(text, text.sample, labels, into: &writer)
                }
                writer.append(value)
                writer.append(UInt8(ascii: "\n"))
                start = end
            }
        }
    }

    /// Writes the end of the exposition.
    func writeEnd(into writer: inout ByteWriter) {
        if style.isOpenMetrics { writer.append("# EOF\n") }
    }

    /// `name{labels} ` or `name `; if the name is quoted, `{"name",labels} `.
    @inline(__always)
    private func writeName(
        _ text: FamilyText, _ name: [UInt8], _ labels: UnsafeBufferPointer<UInt8>,
        into writer: inout ByteWriter
    ) {
        if text.isQuoted {
            writer.append(UInt8(ascii: "{"))
            writer.append(name)
            if !labels.isEmpty {
                writer.append(UInt8(ascii: ","))
                unsafe writer.append(labels)
            }
            writer.append("} ")
            return
        }
        writer.append(name)
        if !labels.isEmpty {
            writer.append(UInt8(ascii: "{"))
            unsafe writer.append(labels)
            writer.append(UInt8(ascii: "}"))
        }
        writer.append(UInt8(ascii: " "))
    }

    @inline(__always)
    private func writeCounter(_ numbers: SeriesValues, into writer: inout ByteWriter) {
        let whole = numbers.integer(at: 0)
        let fraction = numbers.double(at: 1)
        if fraction == 0 {
            writer.append(whole)
        } else {
            writer.append(Double(whole) + fraction)
        }
    }

    /// The cumulative buckets, then `_sum` and `_count`, without the last line feed.
    private func writeHistogram(
        _ text: FamilyText, _ labels: UnsafeBufferPointer<UInt8>, _ numbers: SeriesValues,
        _ exemplars: ExemplarSlots?, into writer: inout ByteWriter
    ) {
        var total: UInt64 = 0
        let sum = numbers.double(at: text.bucketEnds.count)
        // In OpenMetrics a sum can only grow, and `_count` requires a sum. So a histogram with a
        // negative sum or bound only has its buckets, the last of which is the count.
        let hasSum = !style.isOpenMetrics || (sum >= 0 && !text.hasNegativeBounds)
        for (bucket, end) in text.bucketEnds.enumerated() {
            total &+= numbers.integer(at: bucket)
            writer.append(text.bucket)
            unsafe writer.append(labels)
            unsafe end.withUnsafeBufferPointer { bytes in
                // If a series has no labels, there is no comma before `le`.
                unsafe writer.append(labels.isEmpty ? .init(rebasing: bytes.dropFirst()) : bytes)
            }
            writer.append(total)
            if let exemplars { writer.append(exemplars.rendered(at: bucket)) }
            let isLast = bucket + 1 == text.bucketEnds.count
            if hasSum || !isLast { writer.append(UInt8(ascii: "\n")) }
        }
        guard hasSum else { return }
        unsafe writeName(text, text.sum, labels, into: &writer)
        writer.append(sum)
        writer.append(UInt8(ascii: "\n"))
        unsafe writeName(text, text.count, labels, into: &writer)
        // The total of the buckets just written, so `_count` always equals `+Inf`.
        writer.append(total)
    }
}
