// SPDX-License-Identifier: Apache-2.0
// The state of one request, from its first line to the last byte of its response.
//
// libmicrohttpd keeps our reference from the moment it has read the target:
//
//     fresh ─first call: judged─▶ accepted ─second call: a page answers─▶ answered ─▶ completed
//        └──────────── refused, in the first call ─────────────────────────▲
//
// Only the connection's thread accesses it, then the code that ends it once that thread is gone.

/// A request in progress.
final class Exchange {
    /// Its stage.
    enum Stage {
        case fresh
        case accepted
        case responded
    }

    /// The parsed target, or why it was refused.
    let target: Result<RequestTarget, RequestTarget.Problem>
    /// The size of the target as a C string, in bytes.
    let targetSize: Int
    /// The connection that it arrived on.
    let connection: ConnectionTable.ID
    var stage = Stage.fresh
    /// Whether it counts as in flight.
    var isCounted = false
    /// The index of the page that is serving it.
    var page: Int?
    /// Called once the whole response is sent; nil if the page does not need that.
    var onDelivery: (@Sendable () -> Void)?

    init(target: UnsafeBufferPointer<UInt8>, connection: ConnectionTable.ID) {
        self.target = Result { () throws(RequestTarget.Problem) in
            try unsafe RequestTarget(target)
        }
        targetSize = target.count
        self.connection = connection
    }
}
