// SPDX-License-Identifier: Apache-2.0
// One outgoing request, from its first byte to the end of its response.

internal import OutriderMetrics
internal import Synchronization

/// A request that was sent.
///
/// It ends exactly once, with the first call of ``finish(_:)`` or when the last reference to it is
/// released. Thread-safe.
public final class ClientRequestToken: Sendable {
    /// How a request ended.
    public enum Outcome: Sendable {
        /// A response arrived, with the status that was set.
        ///
        /// A status of 400 or above is an error for the client, and is also the value of
        /// `error_type`.
        case completed
        /// An error ended it: no connection, a timeout, an incomplete response. A
        /// `CancellationError` counts as ``cancelled``.
        case failed(any Error)
        /// The caller gave up.
        case cancelled
    }

    private let recorder: HTTPClientRecorder
    private let peer: HTTPClientRecorder.PeerSeries
    private let method: Int
    private let start: UInt64
    private let status = Atomic<Int>(0)
    private let isEnded = Atomic<Bool>(false)

    init(_ recorder: HTTPClientRecorder, method: Int, _ peer: HTTPClientRecorder.PeerSeries) {
        self.recorder = recorder
        self.peer = peer
        self.method = method
        start = recorder.uptime.nanoseconds
    }

    deinit {
        end(error: ErrorKind.abandoned)
    }

    /// Sets the status of the response; a value outside 100 to 999 clears it.
    public func setStatus(_ code: Int) {
        // ORDERING: relaxed; handing the token to another thread orders earlier writes.
        status.store((100...999).contains(code) ? code : 0, ordering: .relaxed)
    }

    /// Ends it; only the first call counts.
    public func finish(_ outcome: Outcome = .completed) {
        switch outcome {
        case .completed: end(error: ErrorKind.none)
        case .failed(let error) where error is CancellationError: end(error: ErrorKind.cancelled)
        case .failed(let error): end(error: recorder.errorTypes.index(of: error))
        case .cancelled: end(error: ErrorKind.cancelled)
        }
    }

    /// Ends it with an error name that its framework defines; there should be few such names.
    package func finish(errorType name: String) {
        end(error: recorder.errorTypes.index(named: name))
    }

    private func end(error: Int) {
        // ORDERING: acquiring and releasing, so that the thread that ends it sees what others set.
        if isEnded.exchange(true, ordering: .acquiringAndReleasing) { return }
        let status = status.load(ordering: .relaxed)
        let shown = error == ErrorKind.none && status >= 400 ? ErrorKind.status : error
        let key = RequestSeriesKey(method: method, status: status, error: shown)
        let now = recorder.uptime.nanoseconds
        let seconds = Double(now - min(now, start)) / 1_000_000_000
        recorder.withSeries(of: peer, key) { series in
            series.duration.observe(seconds, at: now) {
                recorder.traceparent?().flatMap(Traceparent.init)?.exemplar
            }
        }
    }
}
