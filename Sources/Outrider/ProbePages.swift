// SPDX-License-Identifier: Apache-2.0
// The pages for an orchestrator's probes.

internal import OutriderEndpoint

/// `/healthz`: liveness; any response shows that the process is alive.
struct HealthPage: Page {
    let path = "/healthz"
    let aliases = ["/-/healthy"]
    let summary = "200 while the process is alive"
    let isForProbes = true

    func respond(to request: Request) -> Response {
        .uncached("alive\n", status: 200)
    }
}

/// `/readyz`: whether the service accepts traffic.
struct ReadinessPage: Page {
    let path = "/readyz"
    let aliases = ["/-/ready"]
    let summary =
        "200 while the service is ready for traffic, 503 while it starts, drains or fails a check"
    let isForProbes = true
    let readiness: Readiness

    /// Many requests may wait for one result of a check; none waits longer than its limit.
    let concurrencyLimit = 64

    func respond(to request: Request) -> Response {
        let obstacles = readiness.obstacles()
        if obstacles.isEmpty { return .uncached("ready\n", status: 200) }
        return .uncached(obstacles.joined(separator: "\n") + "\n", status: 503)
    }
}

extension Response {
    /// A response that must not be cached.
    static func uncached(_ text: String, status: Int) -> Response {
        var response = Response.text(text, status: status)
        response.headers.append(("Cache-Control", "no-store"))
        return response
    }
}
