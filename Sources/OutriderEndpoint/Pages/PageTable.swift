// SPDX-License-Identifier: Apache-2.0
// Pages by path, and the permits of each for concurrent requests.

/// The pages of an endpoint by path; thread-safe.
final class PageTable: Sendable {
    private let entries: [Entry]
    private let numbers: [String: Int]

    /// A page and the requests that it is serving, until their last byte is sent.
    private final class Entry: Sendable {
        let page: any Page
        let places: PlaceQueue

        init(_ page: any Page) {
            self.page = page
            places = PlaceQueue(limit: page.concurrencyLimit)
        }
    }

    /// A table of `pages`, with a landing page at `/` unless one of them has that path.
    ///
    /// `report` is called for each path that cannot be served: one that an earlier page has, or
    /// without a leading slash. The landing page lists operator pages only where local requests may
    /// see them.
    init(
        _ pages: [any Page], title: String,
        notices: @escaping @Sendable (PageAudience) -> [String], access: AccessRules,
        address: ListenAddress, report: (String) -> Void
    ) {
        var served: [any Page] = []
        var numbers: [String: Int] = [:]
        func add(_ page: any Page) {
            for path in [page.path] + page.aliases {
                if !path.hasPrefix("/") {
                    report("invalid page path \"\(path)\"; a path must start with /")
                } else if numbers[path] != nil {
                    report(
                        "two pages have the path \(path); only the first is served, rename the other"
                    )
                } else {
                    numbers[path] = served.count
                }
            }
            served.append(page)
        }
        for page in pages { add(page) }
        if numbers["/"] == nil {
            let reachable = pages.enumerated().filter { numbers[$1.path] == $0 }.map(\.element)
            let listed = reachable.filter { access.isOpen(at: address) || !$0.isForOperators }
            add(
                LandingPage(
                    title: title, pages: listed, notices: notices, access: access, address: address)
            )
        }
        entries = served.map(Entry.init)
        self.numbers = numbers
    }

    /// The index of the page at a path.
    func number(at path: String) -> Int? { numbers[path] }

    /// A page by its index.
    func page(_ number: Int) -> any Page { entries[number].page }

    /// The requests that a page is serving, and those that wait for it.
    func places(on number: Int) -> PlaceQueue { entries[number].places }

    /// The audience of a path, whether or not there is a page.
    func audience(of path: String) -> PageAudience {
        if PageAudience.ofPath(path) == .operators { return .operators }
        return number(at: path).map { page($0).isForOperators } ?? false ? .operators : .everyone
    }
}
