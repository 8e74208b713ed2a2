// SPDX-License-Identifier: Apache-2.0
// SIGINT (Ctrl-C), and SIGTERM, which supervisors send.

import Dispatch
import Foundation

/// Receives SIGINT and SIGTERM from its creation on.
struct Signals {
    private let stream: AsyncStream<Void>
    private let arrived: AsyncStream<Void>.Continuation
    private var sources: [any DispatchSourceSignal] = []

    init() async {
        (stream, arrived) = AsyncStream.makeStream(of: Void.self)
        for number in [SIGINT, SIGTERM] {
            // Before the source is created, because on Linux the source installs its own handler.
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

    /// Waits for a signal, or until `seconds` have passed.
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
