// SPDX-License-Identifier: Apache-2.0
// Pages by path, and the permits of each for concurrent requests.

/// The pages of an endpoint by path; thread-safe.
final class PageTable: Sendable {
    private let entries: [Entry]
    private let indices: [String: Int]

    /// A page and the requests that it is serving, until their last byte is sent.
    private final class Entry: Sendable {
        let page: any Page
        let permits: PermitQueue

        init(_ page: any Page) {
            self.page = page
            permits = PermitQueue(limit: page.concurrencyLimit)
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
        var indices: [String: Int] = [:]
        func add(_ page: any Page) {
            for path in [page.path] + page.aliases {
                if !path.hasPrefix("/") {
                    report("invalid page path \"\(path)\"; a path must start with /")
                } else if indices[path] != nil {
                    report(
                        "two pages have the path \(path); only the first is served, rename the other"
                    )
                } else {
                    indices[path] = served.count
                }
            }
            served.append(page)
        }
        for page in pages { add(page) }
        if indices["/"] == nil {
            let reachable = pages.enumerated().filter { indices[$1.path] == $0 }.map(\.element)
            let listed = reachable.filter { access.isOpen(at: address) || !$0.isForOperators }
            add(
                LandingPage(
                    title: title, pages: listed, notices: notices, access: access, address: address)
            )
        }
        entries = served.map(Entry.init)
        self.indices = indices
    }

    /// The index of the page at a path.
    func index(at path: String) -> Int? { indices[path] }

    /// A page by its index.
    func page(_ index: Int) -> any Page { entries[index].page }

    /// The requests that a page is serving, and those that wait for it.
    func permits(on index: Int) -> PermitQueue { entries[index].permits }

    /// The audience of a path, whether or not there is a page.
    func audience(of path: String) -> PageAudience {
        if PageAudience.ofPath(path) == .operators { return .operators }
        return index(at: path).map { page($0).isForOperators } ?? false ? .operators : .everyone
    }
}
