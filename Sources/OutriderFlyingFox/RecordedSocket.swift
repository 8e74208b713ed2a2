// SPDX-License-Identifier: Apache-2.0
// A WebSocket: a request that ends with its handshake, and a connection that is counted after it.

#if FlyingFox

    internal import FlyingFox
    internal import OutriderHTTP

    /// Counts a connection for as long as its frames come.
    struct RecordedSocket: WSHandler {
        let handler: any WSHandler
        let token: RequestToken

        func makeFrames(
            for client: AsyncThrowingStream<WSFrame, any Error>
        ) async throws -> AsyncStream<WSFrame> {
            let frames: AsyncStream<WSFrame>
            do {
                frames = try await handler.makeFrames(for: client)
            } catch {
                // The server closes the connection without an answer.
                token.finish(.failed(error))
                throw error
            }
            let connection = token.upgrade(to: "websocket")
            // Pulled one by one: no task, no buffer. Whoever lets go of this stream lets go of the
            // connection and of the frames below, in whatever state they are.
            return AsyncStream {
                var iterator = frames.makeAsyncIterator()
                if let frame = await iterator.next() { return frame }
                connection.end()
                return nil
            }
        }
    }

#endif
