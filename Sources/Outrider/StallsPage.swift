// SPDX-License-Identifier: Apache-2.0
// `/debug/stalls`: the last times that something did not answer, with stacks.

internal import OutriderEndpoint
internal import OutriderRuntime

/// What the hang watch has seen.
struct StallsPage: Page {
    let path = "/debug/stalls"
    let summary = "the last times that an executor or event loop hung, with stacks"
    let runtime: RuntimeMonitor

    func respond(to request: Request) -> Response {
        let reports = runtime.stalls.map(\.report)
        let text = reports.isEmpty ? "Nothing has hung.\n" : reports.joined(separator: "\n")
        return .uncached(text, status: 200)
    }
}
