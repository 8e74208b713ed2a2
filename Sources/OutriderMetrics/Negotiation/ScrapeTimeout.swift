// SPDX-License-Identifier: Apache-2.0
// How long a scrape may take, so that its scraper is still there when the answer comes.

/// The limit of a scrape.
enum ScrapeTimeout {
    /// What a scrape may take when its scraper does not say; Prometheus waits for 10 s by default.
    static let own: Duration = .seconds(9.5)
    /// What every scrape has: nobody gets to have collectors given up before they had a chance.
    private static let shortest: Duration = .milliseconds(500)
    /// What is left for the way there and back, of a timeout of a second or more.
    private static let margin: Duration = .milliseconds(500)

    /// The limit for `X-Prometheus-Scrape-Timeout-Seconds`: a margin less, half a second at least, and never more than ours.
    ///
    /// A value that is no positive number is passed over.
    static func limit(_ header: String?) -> Duration {
        guard let header, header.utf8.count <= 32, let seconds = Double(header), seconds > 0 else {
            return own
        }
        let asked = Duration.seconds(min(seconds, 3600))
        return min(own, max(shortest, max(asked - margin, asked / 2)))
    }
}
