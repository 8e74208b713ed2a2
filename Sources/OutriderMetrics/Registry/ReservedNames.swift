// SPDX-License-Identifier: Apache-2.0
// Names reserved by servers: a service's samples under them would be mixed up with the server's
// own.

/// Names that no metric or label of a service may have, in any spelling that is exposed.
enum ReservedNames {
    /// Samples that a server stores about each scrape and about its own alerts.
    ///
    /// A sample of the service with such a name has the same labels as the server's sample, and
    /// replaces it: a gauge `up` of 0 makes a healthy target look down.
    ///
    /// Source: "Jobs and instances" of the Prometheus documentation, `scrape.go` of Prometheus 2.42
    /// to 3.5; "Automatically generated metrics" of vmagent.
    private static let metrics: Set<String> = [
        "up", "scrape_duration_seconds", "scrape_samples_scraped",
        "scrape_samples_post_metric_relabeling", "scrape_series_added", "scrape_timeout_seconds",
        "scrape_sample_limit", "scrape_body_size_bytes",
        "scrape_samples_limit", "scrape_response_size_bytes", "scrape_series_current",
        "scrape_series_limit", "scrape_series_limit_samples_dropped", "scrape_labels_limit",
        "ALERTS", "ALERTS_FOR_STATE",
    ]

    /// Whether a server stores its own samples under this name.
    static func isMetric(_ name: String) -> Bool { metrics.contains(name) }

    /// Whether Prometheus reserves this label name.
    static func isLabel(_ name: String) -> Bool {
        name.hasPrefix("__") || name == "le" || name == "quantile"
    }
}
