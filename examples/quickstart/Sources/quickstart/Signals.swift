// SPDX-License-Identifier: Apache-2.0
// Ctrl-C, and the polite signal that supervisors send.

import Dispatch
import Foundation

/// Hears SIGINT and SIGTERM from the moment it exists.
struct Signals {
    private let stream: AsyncStream<Void>
    private let arrived: AsyncStream<Void>.Continuation
    private var sources: [any DispatchSourceSignal] = []

    init() async {
        (stream, arrived) = AsyncStream.makeStream(of: Void.self)
        for number in [SIGINT, SIGTERM] {
            // Before the source, which on Linux puts a handler of its own in this place.
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number)
            source.setEventHandler { [arrived] in arrived.yield() }
            await withCheckedContinuation { registered in
                source.setRegistrationHandler { registered.resume() }
                source.resume()
            }
            sources.append(source)
        }
    }

    /// Waits for one of them, or until `seconds` have passed.
    func wait(atMost seconds: Double?) async {
        let timer = Task { [arrived] in
            guard let seconds else { return }
            try await Task.sleep(for: .seconds(seconds))
            arrived.yield()
        }
        for await _ in stream { break }
        timer.cancel()
        for source in sources { source.cancel() }
    }
}
