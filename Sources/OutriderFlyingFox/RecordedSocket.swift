// SPDX-License-Identifier: Apache-2.0
// WebSockets: the request ends with its handshake, and the connection is counted after that.

#if FlyingFox

    internal import FlyingFox
    internal import OutriderHTTP

    /// Counts a connection as long as it has frames.
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
                // The server closes the connection without a response.
                token.finish(.failed(error))
                throw error
            }
            let connection = token.upgrade(to: "websocket")
            // Frames are pulled one by one, without a task or a buffer. Releasing this stream
            // releases the connection and the inner frames, whatever their state.
            return AsyncStream {
                var iterator = frames.makeAsyncIterator()
                if let frame = await iterator.next() { return frame }
                connection.end()
                return nil
            }
        }
    }

#endif
