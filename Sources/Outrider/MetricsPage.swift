// SPDX-License-Identifier: Apache-2.0
// `/metrics`: where a registry meets the endpoint.

internal import OutriderEndpoint
internal import OutriderMetrics

/// The page that scrapers read.
struct MetricsPage: Page {
    let path = "/metrics"
    let summary = "metrics for Prometheus"
    let registry: Registry

    func respond(to request: Request) -> Response {
        let scrape = registry.respond(
            accept: request.header("Accept"), acceptEncoding: request.header("Accept-Encoding"),
            names: request.arguments("name[]"))
        return Response(status: scrape.status, headers: scrape.headers, body: scrape.body)
    }
}
