// SPDX-License-Identifier: Apache-2.0
// The Prometheus text format 0.0.4, written straight into bytes.
//
// Names and escaped labels were rendered when the metric was made, so a scrape copies them and
// prints numbers. Nothing here allocates for a series, takes a lock that a writer could wait for,
// or builds a String.
//
// Source: "Exposition formats" of the Prometheus documentation, text-based format.

/// Writes metric families in the text format.
enum TextExposition {
    /// Media type of what this writes.
    static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// Writes one family with all of its series; nothing if it has none.
    static func write(_ core: FamilyCore, into writer: inout ByteWriter) {
        var isFirst = true
        for run in core.runs {
            let block = run.block
            for index in 0..<run.count where !block.isRemoved(at: index) {
                if isFirst { writer.append(core.text.head) }
                isFirst = false
                let labels = unsafe block.labels(at: index)
                let cell = block.cell(at: index)
                switch core.definition.kind {
                case .counter:
                    unsafe writeName(core.text.sample, labels, into: &writer)
                    writeCounter(cell, into: &writer)
                case .gauge, .info:
                    unsafe writeName(core.text.sample, labels, into: &writer)
                    writer.append(cell.double)
                case .histogram:
                    unsafe writeHistogram(core.text, labels, cell, into: &writer)
                }
                writer.append(UInt8(ascii: "\n"))
                if writer.overflowed { return }
            }
        }
    }

    /// Writes one family of a collector; nothing if it has no samples.
    static func write(
        _ samples: CollectedSamples.Series, as text: FamilyText, into writer: inout ByteWriter
    ) {
        if samples.samples.isEmpty { return }
        writer.append(text.head)
        unsafe samples.labels.withUnsafeBufferPointer { bytes in
            var start = 0
            for (end, value) in samples.samples {
                let labels = unsafe UnsafeBufferPointer(rebasing: bytes[start..<end])
                unsafe writeName(text.sample, labels, into: &writer)
                writer.append(value)
                writer.append(UInt8(ascii: "\n"))
                start = end
            }
        }
    }

    /// `name{labels} ` or `name `.
    @inline(__always)
    private static func writeName(
        _ name: [UInt8], _ labels: UnsafeBufferPointer<UInt8>, into writer: inout ByteWriter
    ) {
        writer.append(name)
        if !labels.isEmpty {
            writer.append(UInt8(ascii: "{"))
            unsafe writer.append(labels)
            writer.append(UInt8(ascii: "}"))
        }
        writer.append(UInt8(ascii: " "))
    }

    @inline(__always)
    private static func writeCounter(_ cell: Cell, into writer: inout ByteWriter) {
        let whole = cell.integer
        let fraction = cell.advanced(by: 1).double
        if fraction == 0 {
            writer.append(whole)
        } else {
            writer.append(Double(whole) + fraction)
        }
    }

    /// The buckets, cumulative, then `_sum` and `_count`, without the last line feed.
    private static func writeHistogram(
        _ text: FamilyText, _ labels: UnsafeBufferPointer<UInt8>, _ cell: Cell,
        into writer: inout ByteWriter
    ) {
        var total: UInt64 = 0
        for (bucket, end) in text.bucketEnds.enumerated() {
            total &+= cell.advanced(by: bucket).integer
            writer.append(text.bucket)
            unsafe writer.append(labels)
            unsafe end.withUnsafeBufferPointer { bytes in
                // Without labels of its own, a bucket has no comma before `le`.
                unsafe writer.append(labels.isEmpty ? .init(rebasing: bytes.dropFirst()) : bytes)
            }
            writer.append(total)
            writer.append(UInt8(ascii: "\n"))
        }
        unsafe writeName(text.sum, labels, into: &writer)
        writer.append(cell.advanced(by: text.bucketEnds.count).double)
        writer.append(UInt8(ascii: "\n"))
        unsafe writeName(text.count, labels, into: &writer)
        // The total of the buckets just printed: `_count` cannot differ from `+Inf`.
        writer.append(total)
    }
}
