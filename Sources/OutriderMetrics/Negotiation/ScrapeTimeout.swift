// SPDX-License-Identifier: Apache-2.0
// The time limit of a scrape, chosen so that the response arrives before the scraper times out.

/// Computes the time limit of a scrape.
enum ScrapeTimeout {
    /// The limit if the scraper does not specify a timeout, and the longest; Prometheus waits for
    /// 10 s by default.
    static let own: Duration = .seconds(9.5)
    /// The shortest limit, so that no client can make collectors time out before they had a chance.
    private static let shortest: Duration = .milliseconds(500)
    /// The margin for the network, subtracted from a timeout of a second or more.
    private static let margin: Duration = .milliseconds(500)

    /// The limit for `X-Prometheus-Scrape-Timeout-Seconds`: the timeout minus a margin, between 0.5
    /// s and 9.5 s.
    ///
    /// A value that is not a positive number is ignored.
    static func limit(_ header: String?) -> Duration {
        guard let header, header.utf8.count <= 32, let seconds = Double(header), seconds > 0 else {
            return own
        }
        let requested = Duration.seconds(min(seconds, 3600))
        return min(own, max(shortest, max(requested - margin, requested / 2)))
    }
}
