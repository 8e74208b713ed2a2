// SPDX-License-Identifier: Apache-2.0
// One request from its first line to the last byte of its answer, as we remember it.
//
// libmicrohttpd keeps a reference for us from the moment it has seen the target:
//
//     fresh ─first call: judged─▶ accepted ─second call: a page answers─▶ answered ─▶ completed
//        └──────────── refused, in the first call ─────────────────────────▲
//
// Only the connection's own thread touches it, and whoever ends it, once that thread is gone.

/// A request that is under way.
final class Exchange {
    /// How far it has come.
    enum Stage {
        case fresh
        case accepted
        case answered
    }

    /// What was asked for, or why that cannot be told.
    let target: Result<RequestTarget, RequestTarget.Problem>
    /// Bytes that the target has, as a C string.
    let targetSize: Int
    /// The connection that it came over.
    let connection: ConnectionTable.ID
    var stage = Stage.fresh
    /// Whether it counts as in flight.
    var isCounted = false
    /// The page that is busy with it.
    var page: Int?
    /// Called once the whole response is sent; nil if that matters to no page.
    var onDelivery: (@Sendable () -> Void)?

    init(target: UnsafeBufferPointer<UInt8>, connection: ConnectionTable.ID) {
        self.target = Result { () throws(RequestTarget.Problem) in
            try unsafe RequestTarget(target)
        }
        targetSize = target.count
        self.connection = connection
    }
}
