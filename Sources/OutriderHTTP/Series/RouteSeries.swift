// SPDX-License-Identifier: Apache-2.0
// A route of a recorder and its series.

internal import Synchronization

/// A route: how its requests are recorded, and their series.
final class RouteSeries: Sendable {
    /// How the requests of a route are recorded.
    enum Treatment: Sendable {
        /// To the last byte of the response.
        case timed
        /// To the head of the response.
        case timedToHead
        /// Not at all.
        case excluded
    }

    let template: String
    let treatment: Treatment
    /// The recorder that it belongs to; tokens of other recorders must not keep it.
    let owner: UInt64
    let slots = SeriesSlots<RequestSeries>()

    init(_ template: String, _ treatment: Treatment, owner: UInt64) {
        self.template = template
        self.treatment = treatment
        self.owner = owner
    }
}

/// The route of a request, which may change while the request is in progress.
///
/// It holds no reference: a recorder never releases a route, and tokens keep their recorder alive.
// SAFETY: marked safe because tokens only store routes of their own recorder here.
@safe struct CurrentRoute: ~Copyable, Sendable {
    private let reference: Atomic<Unmanaged<RouteSeries>>

    init(_ route: RouteSeries) {
        unsafe reference = Atomic(Unmanaged.passUnretained(route))
    }

    // ORDERING: relaxed; routes are published before a token can reach them.

    /// The current route.
    var value: RouteSeries {
        unsafe reference.load(ordering: .relaxed).takeUnretainedValue()
    }

    /// Calls `body` with the route, without counting a reference.
    @inline(__always)
    func with<Result>(_ body: (RouteSeries) -> Result) -> Result {
        unsafe reference.load(ordering: .relaxed)._withUnsafeGuaranteedRef(body)
    }

    /// Sets the route.
    func set(_ route: RouteSeries) {
        unsafe reference.store(Unmanaged.passUnretained(route), ordering: .relaxed)
    }
}
