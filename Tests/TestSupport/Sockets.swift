// SPDX-License-Identifier: Apache-2.0
// The open sockets of this process.

internal import Glibc
public import OutriderEndpoint

/// The descriptors of this process's connections at this address, on the endpoint's side.
public func descriptors(boundTo address: ListenAddress) -> [Int32] {
    (3..<1024).filter { descriptor in
        var name = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        var peerLength = length
        var peer = sockaddr_in()
        // SAFETY: Both calls write at most the given size.
        let isConnected = unsafe withUnsafeMutablePointer(to: &name) { name in
            unsafe withUnsafeMutablePointer(to: &peer) { peer in
                unsafe name.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe getsockname(descriptor, $0, &length)
                } == 0
                    && peer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        unsafe getpeername(descriptor, $0, &peerLength)
                    } == 0
            }
        }
        return isConnected && UInt16(bigEndian: name.sin_port) == UInt16(address.port ?? 0)
    }
}
