// SPDX-License-Identifier: Apache-2.0
// One route of a server as a recorder knows it.

internal import Synchronization

/// A route: what is done with its requests, and its series.
final class RouteSeries: Sendable {
    /// What is recorded of a route.
    enum Treatment: Sendable {
        /// Everything, to the last byte of the answer.
        case timed
        /// Everything, to the head of the answer.
        case timedToHead
        /// Nothing.
        case excluded
    }

    let template: String
    let treatment: Treatment
    /// Which recorder it belongs to: tokens of another one must not keep it.
    let owner: UInt64
    let slots = SeriesSlots<RequestSeries>()

    init(_ template: String, _ treatment: Treatment, owner: UInt64) {
        self.template = template
        self.treatment = treatment
        self.owner = owner
    }
}

/// The route of a request, which may change while the request is under way.
///
/// It does not keep its routes: a recorder never lets go of one, and tokens keep their recorder.
// SAFETY: marked safe since tokens only put routes of their own recorder here.
@safe struct CurrentRoute: ~Copyable, Sendable {
    private let reference: Atomic<Unmanaged<RouteSeries>>

    init(_ route: RouteSeries) {
        unsafe reference = Atomic(Unmanaged.passUnretained(route))
    }

    // ORDERING: relaxed; routes are made and published before a token can know them.

    /// The route now.
    var value: RouteSeries {
        unsafe reference.load(ordering: .relaxed).takeUnretainedValue()
    }

    /// Calls `body` with the route, without counting a reference.
    @inline(__always)
    func with<Result>(_ body: (RouteSeries) -> Result) -> Result {
        unsafe reference.load(ordering: .relaxed)._withUnsafeGuaranteedRef(body)
    }

    /// Makes it another one.
    func set(_ route: RouteSeries) {
        unsafe reference.store(Unmanaged.passUnretained(route), ordering: .relaxed)
    }
}
