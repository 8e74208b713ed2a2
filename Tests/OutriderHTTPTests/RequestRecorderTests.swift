// SPDX-License-Identifier: Apache-2.0
// What a recorder of incoming requests counts, row by row.

import OutriderHTTP
import OutriderMetrics
import OutriderTesting
import Testing

/// A recorder with a registry and a clock of its own.
struct Recording {
    let clock = ManualClock()
    let registry: Registry
    let recorder: HTTPRequestRecorder

    init(_ configure: (inout HTTPRequestRecorder.Configuration) -> Void = { _ in }) {
        registry = Registry(reportsItself: false, log: DiagnosticLog { _, _ in }, clock: clock)
        var configuration = HTTPRequestRecorder.Configuration()
        configure(&configuration)
        recorder = HTTPRequestRecorder(registry: registry, configuration: configuration)
    }
}

@Suite struct RequestRecorderTests {
    @Test func `a request is counted under its route, method, scheme and status`() throws {
        let recording = Recording()
        let token = recording.recorder.begin(method: "GET")
        token.setRoute(template: "/orders/{id}")
        token.setStatus(200)
        token.finish()
        print(recording.registry.text())
    }
}
