// SPDX-License-Identifier: Apache-2.0
// `/metrics`: connects a registry to the endpoint.

internal import OutriderEndpoint
internal import OutriderMetrics

/// The page that scrapers request.
struct MetricsPage: Page {
    let path = "/metrics"
    let summary = "metrics for Prometheus"
    /// Identical scrapes share their bytes, so more may be in flight than for other pages.
    let concurrencyLimit = 16
    let registry: Registry
    let showsCreationTimes: Bool

    func respond(to request: Request) -> Response {
        let scrape = registry.respond(
            accept: request.header("Accept"), acceptEncoding: request.header("Accept-Encoding"),
            names: request.arguments("name[]"),
            scrapeTimeout: request.header("X-Prometheus-Scrape-Timeout-Seconds"),
            creationTimes: showsCreationTimes, awaitsDelivery: true)
        var response = Response(
            status: scrape.status, headers: scrape.headers, bytes: scrape.bytes)
        response.onDelivery = { scrape.confirmDelivery() }
        return response
    }
}
