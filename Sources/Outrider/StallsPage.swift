// SPDX-License-Identifier: Apache-2.0
// `/debug/stalls`: the most recent stalls, with stacks.

internal import OutriderEndpoint
internal import OutriderRuntime

/// The stalls that the hang watch has detected.
struct StallsPage: Page {
    let path = "/debug/stalls"
    let summary = "recent stalls of executors and event loops, with stacks"
    let runtime: RuntimeMonitor

    func respond(to request: Request) -> Response {
        let reports = runtime.stalls.map(\.report)
        let text = reports.isEmpty ? "No stalls recorded.\n" : reports.joined(separator: "\n")
        return .uncached(text, status: 200)
    }
}
