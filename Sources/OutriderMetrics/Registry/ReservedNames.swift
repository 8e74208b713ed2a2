// SPDX-License-Identifier: Apache-2.0
// Names that belong to the server: what a service exposes under them is mixed up with what the server stores.

/// Names that no metric or label of a service may have, in any spelling that a scraper is shown.
enum ReservedNames {
    /// What a server stores of each scrape, and of its own alerts.
    ///
    /// A sample of the service's under such a name has the labels of the server's, and takes its place: a gauge
    /// `up` of 0 makes a healthy target look down.
    ///
    /// Source: "Jobs and instances" of the Prometheus documentation, `scrape.go` of Prometheus 2.42 to 3.5; "Automatically
    /// generated metrics" of vmagent.
    private static let metrics: Set<String> = [
        "up", "scrape_duration_seconds", "scrape_samples_scraped",
        "scrape_samples_post_metric_relabeling", "scrape_series_added", "scrape_timeout_seconds",
        "scrape_sample_limit", "scrape_body_size_bytes",
        "scrape_samples_limit", "scrape_response_size_bytes", "scrape_series_current",
        "scrape_series_limit", "scrape_series_limit_samples_dropped", "scrape_labels_limit",
        "ALERTS", "ALERTS_FOR_STATE",
    ]

    /// Whether a sample of this name would be one of the server's.
    static func isMetric(_ name: String) -> Bool { metrics.contains(name) }

    /// Whether a label of this name belongs to Prometheus.
    static func isLabel(_ name: String) -> Bool {
        name.hasPrefix("__") || name == "le" || name == "quantile"
    }
}
