// SPDX-License-Identifier: Apache-2.0
// The pages that an orchestrator probes.

internal import OutriderEndpoint

/// `/healthz`: the process is alive, since it answers.
struct HealthPage: Page {
    let path = "/healthz"
    let aliases = ["/-/healthy"]
    let summary = "200 while the process is alive"
    let isForProbes = true

    func respond(to request: Request) -> Response {
        .uncached("alive\n", status: 200)
    }
}

/// `/readyz`: whether the service wants traffic.
struct ReadinessPage: Page {
    let path = "/readyz"
    let aliases = ["/-/ready"]
    let summary =
        "200 while the service wants traffic, 503 while it starts, drains or fails a check"
    let isForProbes = true
    let readiness: Readiness

    /// Many may wait for one answer of a check; none waits for longer than its limit.
    let concurrencyLimit = 64

    func respond(to request: Request) -> Response {
        let obstacles = readiness.obstacles()
        if obstacles.isEmpty { return .uncached("ready\n", status: 200) }
        return .uncached(obstacles.joined(separator: "\n") + "\n", status: 503)
    }
}

extension Response {
    /// An answer that no cache keeps.
    static func uncached(_ text: String, status: Int) -> Response {
        var response = Response.text(text, status: status)
        response.headers.append(("Cache-Control", "no-store"))
        return response
    }
}
