// SPDX-License-Identifier: Apache-2.0
// Responses in the library's form: it requests the body piece by piece while it sends.

internal import CMicroHTTPD
internal import OutriderThreading

/// A response of the library; its owner passes it to `outrider_mhd_respond` once.
@safe struct OutgoingResponse {
    let handle: UnsafeMutableRawPointer

    /// Wraps a body, which the library keeps until the last byte is sent; nil if memory is short.
    ///
    /// `onProgress` is called each time the client has taken a piece, `onEnd` once when the body is
    /// no longer needed.
    init?(
        _ bytes: BodyBytes, onProgress: @escaping @Sendable () -> Void,
        onEnd: @escaping @Sendable (BodyBytes) -> Void
    ) {
        let body = unsafe Unmanaged.passRetained(OutgoingBody(bytes, onProgress, onEnd))
        let made = unsafe outrider_mhd_response(
            UInt64(bytes.count),
            { body, position, into, size in
                guard let body = unsafe body, let into = unsafe into else { return -1 }
                return unsafe Unmanaged<OutgoingBody>.fromOpaque(body).takeUnretainedValue()
                    .copy(from: position, to: into, size)
            }, body.toOpaque(),
            { body in
                if let body = unsafe body {
                    unsafe Unmanaged<OutgoingBody>.fromOpaque(body).release()
                }
            })
        guard let made = unsafe made else {
            unsafe body.release()
            return nil
        }
        unsafe handle = made
    }

    /// Adds a header field; false if its name or value cannot be sent.
    func add(_ name: String, _ value: String) -> Bool {
        // The library takes C strings.
        if name.utf8.contains(0) || value.utf8.contains(0) { return false }
        return unsafe outrider_mhd_add_header(handle, name, value) == 1
    }
}

/// A body that the library reads in pieces while it sends them.
private final class OutgoingBody: Sendable {
    private let bytes: BodyBytes
    private let onProgress: @Sendable () -> Void
    private let onEnd: @Sendable (BodyBytes) -> Void

    init(
        _ bytes: BodyBytes, _ onProgress: @escaping @Sendable () -> Void,
        _ onEnd: @escaping @Sendable (BodyBytes) -> Void
    ) {
        self.bytes = bytes
        self.onProgress = onProgress
        self.onEnd = onEnd
    }

    deinit { onEnd(bytes) }

    func copy(from position: UInt64, to destination: UnsafeMutablePointer<CChar>, _ size: Int)
        -> Int
    {
        let start = min(Int(clamping: position), bytes.count)
        let count = min(size, bytes.count - start)
        onProgress()
        unsafe bytes.withUnsafeBytes { source in
            // SAFETY: `count` fits into both, and the library owns `destination`.
            unsafe UnsafeMutableRawBufferPointer(start: destination, count: count)
                .copyBytes(from: source[start..<start + count])
        }
        return count
    }
}
